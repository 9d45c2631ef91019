// SPDX-License-Identifier: GPL-2.0
/*
 * Import of dma-bufs into DRM drivers that access frame buffers with the CPU
 * and never with a device: vkms composes a picture from them, computes its CRC
 * and can write it back; bochs, cirrus and simpledrm copy them to video memory.
 *
 * The result is compared pixel by pixel. Buffers of the shadow heap are filled
 * as a device does: a driver that does not begin its access shows old pixels,
 * and one that does not end it writes where no device looks.
 *
 * Needs root and debugfs. Exporters and displays that are not there are
 * skipped; QEMU has -device bochs-display and -device cirrus-vga, and simpledrm
 * gets -device ati-vga with vga=0x342 on the command line.
 */

#include <endian.h>
#include <poll.h>
#include <sys/sysmacros.h>

#include <linux/sync_file.h>

#include "../../kselftest_harness.h"
#include "dmabuf_shadow.h"
#include "drm_screen.h"
#include "vivid.h"

/* the size of a picture; all these drivers but simpledrm have a mode for it */
#define WIDTH		640U
#define HEIGHT		480U
#define PIXELS		(WIDTH * HEIGHT)
#define SIZE		(PIXELS * 4)

/* how many old frames vkms may be composing still, if it is slow */
#define MAX_OLD		60

#define CRC_DIR		"/sys/kernel/debug/dri/%u/crtc-0/crc"

struct buffer {
	int dmabuf;
	uint32_t *mem;
	bool shadow;
	uint32_t fb;
};

/* The driver of cirrus had another name in Linux 6.12. */
static int open_drm(const char *driver)
{
	int fd = drm_open(driver);

	return fd == -ENODEV && !strcmp(driver, "cirrus-qemu") ?
	       drm_open("cirrus") : fd;
}

/* Opens the first screen of @driver. Returns -ENODEV if there is none. */
static int open_screen(struct screen *s, const char *driver)
{
	s->drm = open_drm(driver);

	return s->drm < 0 ? s->drm : screen_find(s, WIDTH, HEIGHT);
}

/* Makes a frame buffer of the dma-buf. */
static int import(struct screen *s, struct buffer *buf)
{
	uint32_t handle;
	int ret;

	ret = screen_import(s, buf->dmabuf, &handle);

	return ret ? ret : screen_add(s, handle, &buf->fb);
}

static int map_buffer(struct buffer *buf, int dmabuf)
{
	if (dmabuf < 0)
		return dmabuf;
	buf->dmabuf = dmabuf;
	buf->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf,
			0);

	return buf->mem == MAP_FAILED ? -errno : 0;
}

/* Noise that depends on @number. The X of XRGB is what vkms writes. */
static const uint32_t *picture(uint32_t number)
{
	static uint32_t pixels[PIXELS];
	unsigned int i;

	fill_noise(pixels, SIZE, number);
	for (i = 0; i < PIXELS; i++)
		pixels[i] |= htole32(0xff000000);

	return pixels;
}

/* Fills the buffer, if possible so that the CPU sees it only after a sync */
static int draw(struct buffer *buf, uint32_t number)
{
	const uint32_t *pixels = picture(number);
	int ret;

	if (buf->shadow)
		return shadow_device_write(buf->dmabuf, pixels, SIZE);

	ret = sync_begin(buf->dmabuf, DMA_BUF_SYNC_WRITE);
	if (ret)
		return ret;
	memcpy(buf->mem, pixels, SIZE);

	return sync_end(buf->dmabuf, DMA_BUF_SYNC_WRITE);
}

/* Does the buffer have this picture, for programs and for devices? */
static bool has(struct buffer *buf, uint32_t number)
{
	static uint32_t device[PIXELS];
	const uint32_t *pixels = picture(number);
	bool same;

	if (buf->shadow && (shadow_device_read(buf->dmabuf, device, SIZE) ||
			    memcmp(device, pixels, SIZE)))
		return false;

	same = !sync_begin(buf->dmabuf, DMA_BUF_SYNC_READ) &&
	       !memcmp(buf->mem, pixels, SIZE);

	return !sync_end(buf->dmabuf, DMA_BUF_SYNC_READ) && same;
}

/* When the driver is done, each of its accesses must have ended. */
static void expect_ended(struct __test_metadata *_metadata, struct buffer *buf)
{
	if (!buf->shadow)
		return;

	EXPECT_LT(0, shadow_count(buf->dmabuf, "begins"));
	EXPECT_EQ(shadow_count(buf->dmabuf, "begins"),
		  shadow_count(buf->dmabuf, "ends"));
	EXPECT_TRUE(shadow_no_writer(buf->dmabuf));
}

FIXTURE(import)
{
	struct buffer buf;
};

/* The source of the buffer: an allocator, or else a node of vivid. */
FIXTURE_VARIANT(import)
{
	int (*alloc)(size_t size);
	const char *vivid;
	/* which a driver may refuse */
	bool io_memory;
};

FIXTURE_VARIANT_ADD(import, system_heap) { .alloc = system_heap_alloc };
FIXTURE_VARIANT_ADD(import, cma_heap) { .alloc = cma_heap_alloc };
FIXTURE_VARIANT_ADD(import, shadow_heap) { .alloc = shadow_heap_alloc };
FIXTURE_VARIANT_ADD(import, udmabuf) { .alloc = udmabuf_alloc };
FIXTURE_VARIANT_ADD(import, virtio_gpu) { .alloc = virtio_gpu_alloc };
FIXTURE_VARIANT_ADD(import, qxl_dumb) { .alloc = qxl_dumb_alloc };
FIXTURE_VARIANT_ADD(import, qxl_vram) {
	.alloc = qxl_vram_alloc, .io_memory = true
};

FIXTURE_VARIANT_ADD(import, vivid) { .vivid = "vivid-001-vid-cap" };
FIXTURE_VARIANT_ADD(import, vivid_dma_contig) { .vivid = "vivid-003-vid-cap" };
FIXTURE_VARIANT_ADD(import, vivid_dma_sg) { .vivid = "vivid-009-vid-cap" };

FIXTURE_SETUP(import)
{
	int ret;

	ret = map_buffer(&self->buf, variant->vivid ?
			 vivid_alloc_export(variant->vivid, SIZE) :
			 variant->alloc(SIZE));
	if (ret == -ENODEV)
		SKIP(return, "no such exporter");
	ASSERT_EQ(0, ret);
	self->buf.shadow = variant->alloc == shadow_heap_alloc;
}

FIXTURE_TEARDOWN(import)
{
	munmap(self->buf.mem, SIZE);
	close(self->buf.dmabuf);
}

static dev_t device(struct screen *s)
{
	struct stat node = { };

	fstat(s->drm, &node);

	return node.st_rdev;
}

/* Waits for vkms to compose a frame and reads its CRC. */
static bool read_crc(struct screen *s, uint32_t *crc)
{
	char path[64], line[32] = "";
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), CRC_DIR "/control", minor(device(s)));
	if (!write_file(path, "auto"))
		return false;

	/* vkms composes as long as this file is open */
	snprintf(path, sizeof(path), CRC_DIR "/data", minor(device(s)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	length = read(fd, line, sizeof(line) - 1);
	close(fd);

	return length > 0 && sscanf(line, "%*x %x", crc) == 1;
}

/*
 * Draws and shows a picture, and returns the CRC of what vkms makes of it. The
 * commit waits until the last one of the frames before has been composed.
 */
static uint32_t show_crc(struct __test_metadata *_metadata, struct screen *s,
			 struct buffer *buf, uint32_t number)
{
	uint32_t crc;

	ASSERT_EQ(0, draw(buf, number));
	ASSERT_EQ(0, screen_show(s, buf->fb));
	ASSERT_TRUE(read_crc(s, &crc));

	return crc;
}

/* An imported buffer has the same CRCs as one of vkms. */
TEST_F_TIMEOUT(import, vkms_crc, 60)
{
	struct buffer own = { };
	uint32_t right[2], crc;
	struct screen s;
	int ret, i;

	ret = open_screen(&s, "vkms");
	if (ret == -ENODEV)
		SKIP(return, "no vkms");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, map_buffer(&own, vkms_alloc(SIZE)));
	ASSERT_EQ(0, import(&s, &own));
	for (i = 0; i < 2; i++)
		right[i] = show_crc(_metadata, &s, &own, i);
	ASSERT_NE(right[0], right[1]);

	ASSERT_EQ(0, import(&s, &self->buf));
	if (variant->io_memory && screen_show(&s, self->buf.fb) == -EIO)
		SKIP(return, "I/O memory is refused");
	for (i = 0; i < 2; i++) {
		crc = show_crc(_metadata, &s, &self->buf, i);
		EXPECT_EQ(right[i], crc);
	}

	/* What is drawn on the screen shows, too, in one of the next frames. */
	ASSERT_EQ(0, draw(&self->buf, 0));
	for (i = 0; i < MAX_OLD && crc != right[0]; i++)
		ASSERT_TRUE(read_crc(&s, &crc));
	EXPECT_EQ(right[0], crc);

	ASSERT_EQ(0, screen_show(&s, 0));
	expect_ended(_metadata, &self->buf);
	close(s.drm);
	close(own.dmabuf);
}

/* Returns a connector that writes back, or 0. */
static uint32_t find_writeback(struct screen *s)
{
	struct drm_set_client_cap caps[] = {
		{ DRM_CLIENT_CAP_ATOMIC, 1 },
		{ DRM_CLIENT_CAP_WRITEBACK_CONNECTORS, 1 },
	};
	uint32_t ids[8];
	struct drm_mode_card_res res = {
		.connector_id_ptr = (uintptr_t)ids, .count_connectors = 8,
	};
	unsigned int i;

	if (v4l2_ioctl(s->drm, DRM_IOCTL_SET_CLIENT_CAP, &caps[0]) ||
	    v4l2_ioctl(s->drm, DRM_IOCTL_SET_CLIENT_CAP, &caps[1]) ||
	    v4l2_ioctl(s->drm, DRM_IOCTL_MODE_GETRESOURCES, &res))
		return 0;

	for (i = 0; i < res.count_connectors && i < 8; i++) {
		struct drm_mode_get_connector connector = {
			.connector_id = ids[i],
		};

		if (!v4l2_ioctl(s->drm, DRM_IOCTL_MODE_GETCONNECTOR,
				&connector) &&
		    connector.connector_type == DRM_MODE_CONNECTOR_WRITEBACK)
			return ids[i];
	}

	return 0;
}

/* Returns the property of a connector that has this name, or 0. */
static uint32_t find_property(int drm, uint32_t connector, const char *name)
{
	uint32_t ids[64];
	uint64_t values[64];
	struct drm_mode_obj_get_properties all = {
		.props_ptr = (uintptr_t)ids,
		.prop_values_ptr = (uintptr_t)values,
		.count_props = 64,
		.obj_id = connector,
		.obj_type = DRM_MODE_OBJECT_CONNECTOR,
	};
	unsigned int i;

	if (v4l2_ioctl(drm, DRM_IOCTL_MODE_OBJ_GETPROPERTIES, &all))
		return 0;

	for (i = 0; i < all.count_props && i < 64; i++) {
		struct drm_mode_get_property property = { .prop_id = ids[i] };

		if (!v4l2_ioctl(drm, DRM_IOCTL_MODE_GETPROPERTY, &property) &&
		    !strcmp(property.name, name))
			return ids[i];
	}

	return 0;
}

/* Returns 1 when a fence has signalled, or its error. */
static int wait_fence(int fence)
{
	struct pollfd pollfd = { .fd = fence, .events = POLLIN };
	struct sync_file_info info = { };
	int ret;

	if (poll(&pollfd, 1, -1) < 0)
		return -errno;
	ret = v4l2_ioctl(fence, SYNC_IOC_FILE_INFO, &info);

	return ret ? ret : info.status;
}

/*
 * Returns 1 when the screen has been written to @fb, or the error of the commit
 * or of its fence.
 */
static int write_back(struct screen *s, uint32_t fb)
{
	int32_t fence = -1;
	uint32_t props[] = {
		find_property(s->drm, s->connector, "CRTC_ID"),
		find_property(s->drm, s->connector, "WRITEBACK_FB_ID"),
		find_property(s->drm, s->connector, "WRITEBACK_OUT_FENCE_PTR"),
	};
	uint64_t values[] = { s->crtc, fb, (uintptr_t)&fence };
	uint32_t count = 3;
	struct drm_mode_atomic atomic = {
		.flags = DRM_MODE_ATOMIC_ALLOW_MODESET,
		.count_objs = 1,
		.objs_ptr = (uintptr_t)&s->connector,
		.count_props_ptr = (uintptr_t)&count,
		.props_ptr = (uintptr_t)props,
		.prop_values_ptr = (uintptr_t)values,
	};
	int ret;

	ret = v4l2_ioctl(s->drm, DRM_IOCTL_MODE_ATOMIC, &atomic);
	if (ret)
		return ret;
	ret = wait_fence(fence);
	close(fence);

	return ret;
}

/* What is on the screen gets into the imported buffer. */
TEST_F_TIMEOUT(import, vkms_writeback, 60)
{
	struct buffer own = { };
	struct screen s;
	int ret;

	ret = open_screen(&s, "vkms");
	if (ret == -ENODEV)
		SKIP(return, "no vkms");
	ASSERT_EQ(0, ret);
	/* no second connector: vkms of Linux 6.12 cannot clone */
	s.connector = find_writeback(&s);
	if (!s.connector)
		SKIP(return, "vkms does not write back");
	ASSERT_EQ(0, map_buffer(&own, vkms_alloc(SIZE)));
	ASSERT_EQ(0, import(&s, &own));
	ASSERT_EQ(0, draw(&own, 0));
	ASSERT_EQ(0, screen_show(&s, own.fb));

	ASSERT_EQ(0, import(&s, &self->buf));
	ASSERT_EQ(0, draw(&self->buf, 1));
	ret = write_back(&s, self->buf.fb);
	if (variant->io_memory && ret == -EIO)
		SKIP(return, "I/O memory is refused");
	EXPECT_EQ(1, ret);
	EXPECT_TRUE(has(&self->buf, 0));

	ASSERT_EQ(0, screen_show(&s, 0));
	expect_ended(_metadata, &self->buf);
	close(s.drm);
	close(own.dmabuf);
}

/*
 * Maps the video memory, which starts with the picture on the screen. The
 * device of simpledrm is below the PCI device.
 */
static const uint32_t *map_vram(struct screen *s)
{
	const uint32_t *vram;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/device/resource0",
		 major(device(s)), minor(device(s)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(path, sizeof(path),
			 "/sys/dev/char/%u:%u/device/../resource0",
			 major(device(s)), minor(device(s)));
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return MAP_FAILED;
	vram = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);

	return vram;
}

/* Pixel by pixel, as devices need not support what memcmp() does. */
static bool is_shown(const uint32_t *vram, uint32_t number)
{
	const uint32_t *pixels = picture(number);
	unsigned int i;

	for (i = 0; i < PIXELS; i++)
		if (__atomic_load_n(&vram[i], __ATOMIC_RELAXED) != pixels[i])
			return false;

	return true;
}

static void copies_to_vram(struct __test_metadata *_metadata,
			   struct buffer *buf, bool io_memory,
			   const char *driver, int may_fail)
{
	const uint32_t *vram;
	struct screen s;
	int ret;

	ret = open_screen(&s, driver);
	if (ret == -ENODEV || ret == -ENOENT)
		SKIP(return, "no %s with %ux%u", driver, WIDTH, HEIGHT);
	ASSERT_EQ(0, ret);
	/* CONFIG_IO_STRICT_DEVMEM and lockdown do not allow it */
	vram = map_vram(&s);
	if (vram == MAP_FAILED)
		SKIP(return, "cannot map the video memory");

	ret = import(&s, buf);
	if (ret && ret == may_fail)
		SKIP(return, "%s does not import", driver);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, draw(buf, 0));
	ret = screen_show(&s, buf->fb);
	if (io_memory && ret == -EIO)
		SKIP(return, "I/O memory is refused");
	ASSERT_EQ(0, ret);
	EXPECT_TRUE(is_shown(vram, 0));

	/* It is a copy, so what is drawn shows when the driver is told. */
	ASSERT_EQ(0, draw(buf, 1));
	EXPECT_FALSE(is_shown(vram, 1));
	ASSERT_EQ(0, screen_flush(&s, buf->fb));
	EXPECT_TRUE(is_shown(vram, 1));

	ASSERT_EQ(0, screen_show(&s, 0));
	expect_ended(_metadata, buf);
	munmap((void *)vram, SIZE);
	close(s.drm);
}

TEST_F_TIMEOUT(import, bochs, 60)
{
	/* bochs of Linux 6.12 does not import */
	copies_to_vram(_metadata, &self->buf, variant->io_memory, "bochs-drm",
		       -EINVAL);
}

TEST_F_TIMEOUT(import, cirrus, 60)
{
	copies_to_vram(_metadata, &self->buf, variant->io_memory, "cirrus-qemu",
		       0);
}

TEST_F_TIMEOUT(import, simpledrm, 60)
{
	copies_to_vram(_metadata, &self->buf, variant->io_memory, "simpledrm",
		       0);
}

FIXTURE(attach)
{
	struct screen s;
	int dmabuf;
};

/* Does the driver attach its device, or nothing as it uses only the CPU? */
FIXTURE_VARIANT(attach)
{
	const char *driver;
	int cpu_only;
	/* how the driver fails if it does not import at all */
	int may_fail;
};

FIXTURE_VARIANT_ADD(attach, vkms) { "vkms", 1 };
FIXTURE_VARIANT_ADD(attach, bochs) { "bochs-drm", 1, -EINVAL };
FIXTURE_VARIANT_ADD(attach, cirrus) { "cirrus-qemu", 1 };
FIXTURE_VARIANT_ADD(attach, simpledrm) { "simpledrm", 1 };
FIXTURE_VARIANT_ADD(attach, vgem) { "vgem", 0 };
FIXTURE_VARIANT_ADD(attach, virtio_gpu) { "virtio_gpu", 0, -ENODEV };

FIXTURE_SETUP(attach)
{
	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);
	/* a page, which fits into any bounce buffer */
	self->dmabuf = system_heap_alloc(4096);
	self->s.drm = open_drm(variant->driver);
	if (self->dmabuf == -ENODEV || self->s.drm == -ENODEV)
		SKIP(return, "no system heap or no %s", variant->driver);
	ASSERT_GE(self->dmabuf, 0);
	ASSERT_GE(self->s.drm, 0);
}

FIXTURE_TEARDOWN(attach)
{
	close(self->s.drm);
	close(self->dmabuf);
}

TEST_F(attach, import)
{
	struct drm_gem_close gem_close = { };
	struct stat before, after;
	int ret, cpu_only, export;
	uint32_t handle, again;

	ret = screen_import(&self->s, self->dmabuf, &handle);
	if (ret && ret == variant->may_fail) {
		ASSERT_EQ(0, dmabuf_attachments(self->dmabuf, &cpu_only));
		SKIP(return, "%s does not import", variant->driver);
	}
	ASSERT_EQ(0, ret);
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf, &cpu_only));
	EXPECT_EQ(variant->cpu_only, cpu_only);

	/* PRIME caches it in both directions */
	ASSERT_EQ(0, screen_import(&self->s, self->dmabuf, &again));
	EXPECT_EQ(handle, again);
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf, &cpu_only));
	export = drm_export(self->s.drm, handle);
	ASSERT_GE(export, 0);
	ASSERT_EQ(0, fstat(self->dmabuf, &before));
	ASSERT_EQ(0, fstat(export, &after));
	EXPECT_EQ(before.st_ino, after.st_ino);
	close(export);

	gem_close.handle = handle;
	ASSERT_EQ(0, v4l2_ioctl(self->s.drm, DRM_IOCTL_GEM_CLOSE, &gem_close));
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf, &cpu_only));
}

TEST_HARNESS_MAIN
