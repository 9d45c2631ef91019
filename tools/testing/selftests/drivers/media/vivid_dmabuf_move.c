// SPDX-License-Identifier: GPL-2.0
/*
 * Import dma-bufs into vivid that their exporters would like to move.
 *
 * A driver that imports a buffer to use it with the CPU keeps one mapping for
 * as long as it knows the buffer. Here the buffers belong to graphics drivers
 * that use TTM. They are shown on the screen, swapped out, evicted, and used by
 * commands in the meantime. All that may fail, but every frame has to be where
 * user space sees the buffer.
 *
 * Needs root, debugfs, and an instance of vivid with the default allocator,
 * vmalloc. A kernel that moves a buffer in use lets vivid write to memory that
 * is not its own, and crashes sooner or later.
 */

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "vivid.h"

#define WIDTH		640
#define HEIGHT		360
#define SIZE		(WIDTH * HEIGHT * 4)

#define FRAMES		10

#define SWAP_OUT	"/sys/kernel/debug/ttm/tt_shrink"

/* part of the device's interface, defined by the SPICE protocol */
#define QXL_CMD_DRAW	1

/* A buffer that vivid imports, and the driver that has allocated it. */
struct moving {
	int drm;
	struct drm_mode_create_dumb dumb;
	struct drm_mode_modeinfo mode;
	uint32_t connector;
	uint32_t crtc;
	int dmabuf[2];
	struct vivid_queue q;
	uint8_t *reference;
};

/* Looks for a screen, leaves m->crtc at 0 if there is none. */
static void find_screen(struct moving *m)
{
	uint32_t crtcs[8], connectors[8];
	struct drm_mode_card_res res = {
		.crtc_id_ptr = (uintptr_t)crtcs,
		.connector_id_ptr = (uintptr_t)connectors,
		.count_crtcs = 8,
		.count_connectors = 8,
	};
	struct drm_mode_modeinfo modes[64];
	uint32_t i;

	if (ioctl(m->drm, DRM_IOCTL_MODE_GETRESOURCES, &res) ||
	    !res.count_crtcs)
		return;

	for (i = 0; i < res.count_connectors && i < 8; i++) {
		struct drm_mode_get_connector connector = {
			.connector_id = connectors[i],
		};

		/* without room for a mode, this looks at the screen */
		if (ioctl(m->drm, DRM_IOCTL_MODE_GETCONNECTOR, &connector) ||
		    !connector.count_modes || connector.count_modes > 64)
			continue;
		connector.modes_ptr = (uintptr_t)modes;
		connector.count_props = 0;
		connector.count_encoders = 0;
		if (ioctl(m->drm, DRM_IOCTL_MODE_GETCONNECTOR, &connector) ||
		    modes[0].hdisplay < WIDTH || modes[0].vdisplay < HEIGHT)
			continue;

		m->mode = modes[0];
		m->connector = connectors[i];
		m->crtc = crtcs[0];
		return;
	}
}

/* Shows the buffer, and takes the screen away from it again if it was shown. */
static int show(struct moving *m)
{
	struct drm_mode_fb_cmd fb = {
		.width = m->dumb.width,
		.height = m->dumb.height,
		.pitch = m->dumb.pitch,
		.bpp = 32,
		.depth = 24,
		.handle = m->dumb.handle,
	};
	struct drm_mode_crtc crtc = {
		.set_connectors_ptr = (uintptr_t)&m->connector,
		.count_connectors = 1,
		.crtc_id = m->crtc,
		.mode_valid = 1,
		.mode = m->mode,
	};

	if (ioctl(m->drm, DRM_IOCTL_MODE_ADDFB, &fb))
		return -errno;
	crtc.fb_id = fb.fb_id;

	return ioctl(m->drm, DRM_IOCTL_MODE_SETCRTC, &crtc) ? -errno : 0;
}

/*
 * TTM swaps out one buffer each time that somebody reads this file, and says
 * how many pages that were. Returns how many buffers it has swapped out.
 */
static int swap_out(void)
{
	char text[16] = { };
	int i, fd, ret = 0;

	for (i = 0; i < 64; i++) {
		fd = open(SWAP_OUT, O_RDONLY);
		if (fd < 0)
			return -errno;
		if (read(fd, text, sizeof(text) - 1) < 0)
			ret = -errno;
		close(fd);
		if (ret)
			return ret;
		if (atoi(text) <= 0)
			break;
	}

	return i;
}

/*
 * Another buffer, which is likely to consist of the pages that were freed last.
 * Returns where it is mapped or MAP_FAILED.
 */
static uint8_t *take_pages(struct moving *m)
{
	struct drm_mode_create_dumb dumb = m->dumb;
	struct drm_mode_map_dumb map = { };
	uint8_t *mem;

	if (ioctl(m->drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb))
		return MAP_FAILED;
	map.handle = dumb.handle;
	if (ioctl(m->drm, DRM_IOCTL_MODE_MAP_DUMB, &map))
		return MAP_FAILED;
	mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, m->drm,
		   map.offset);
	if (mem != MAP_FAILED)
		memset(mem, 0xa5, SIZE);

	return mem;
}

static int open_capture(void)
{
	int fd;

	fd = vivid_open("vivid-000-vid-cap");
	if (fd < 0)
		return fd;

	if (vivid_set_input(fd, "Webcam") ||
	    vivid_set_menu(fd, "OSD Text Mode", "None") ||
	    vivid_set_menu(fd, "Test Pattern", "100% Color Squares") ||
	    vivid_set_menu(fd, "Horizontal Movement", "No Movement") ||
	    vivid_set_format(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE, WIDTH, HEIGHT) ||
	    vivid_set_rate(fd, 60)) {
		close(fd);
		return -EIO;
	}

	return fd;
}

/* Captures the picture into memory of vivid. */
static int take_reference(int fd, uint8_t *reference)
{
	struct vivid_queue q = {
		.fd = fd, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	};
	int ret;

	ret = vivid_alloc_mmap(&q, 2);
	if (!ret)
		ret = vivid_take_pictures(&q);
	if (!ret && q.size == SIZE)
		memcpy(reference, q.mem[0], SIZE);
	else
		ret = -EIO;
	vivid_free(&q);

	return ret;
}

/*
 * Captures some frames into the first buffer of the queue, which needs two of
 * them. Returns how many came to where the test sees the buffer, or -errno.
 */
static int capture(struct vivid_queue *q, const uint8_t *reference)
{
	int i, ret, good = 0;

	for (i = 0; i < FRAMES; i++) {
		ret = vivid_poison(q, 0);
		if (!ret)
			ret = vivid_qbuf(q, 0);
		if (!ret)
			ret = vivid_dqbuf(q);
		if (!ret)
			ret = sync_begin(q->dmabuf[0], DMA_BUF_SYNC_READ);
		if (ret)
			return ret;
		good += !memcmp(q->mem[0], reference, SIZE);
		ret = sync_end(q->dmabuf[0], DMA_BUF_SYNC_READ);
		if (ret)
			return ret;
	}

	return good;
}

/* Has vivid stream into the buffer as soon as somebody queues it. */
static int import(struct moving *m, uint32_t handle)
{
	int ret;

	m->dmabuf[0] = drm_export(m->drm, handle);
	if (m->dmabuf[0] < 0)
		return m->dmabuf[0];
	m->dmabuf[1] = m->dmabuf[0];

	ret = vivid_alloc_dmabuf(&m->q, 2, m->dmabuf, SIZE);

	return ret ? ret : vivid_streamon(&m->q);
}

static int release(struct moving *m)
{
	int ret;

	ret = vivid_streamoff(&m->q);
	if (!ret)
		ret = vivid_free(&m->q);
	close(m->dmabuf[0]);

	return ret;
}

/* -ENODEV if there is no such driver, or no vivid */
static int setup(struct moving *m, const char *driver)
{
	int ret;

	m->reference = malloc(SIZE);
	if (!m->reference)
		return -ENOMEM;

	m->drm = drm_open(driver);
	if (m->drm < 0)
		return m->drm;

	find_screen(m);
	m->dumb.width = m->crtc ? m->mode.hdisplay : 1024;
	m->dumb.height = m->crtc ? m->mode.vdisplay : 768;
	m->dumb.bpp = 32;
	if (ioctl(m->drm, DRM_IOCTL_MODE_CREATE_DUMB, &m->dumb))
		return -errno;

	m->q.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	m->q.fd = open_capture();
	if (m->q.fd < 0)
		return m->q.fd;
	ret = take_reference(m->q.fd, m->reference);

	return ret ? ret : import(m, m->dumb.handle);
}

static void teardown(struct moving *m)
{
	close(m->q.fd);
	close(m->dmabuf[0]);
	close(m->drm);
	free(m->reference);
}

FIXTURE(move)
{
	struct moving m;
};

FIXTURE_VARIANT(move)
{
	const char *driver;
};

FIXTURE_VARIANT_ADD(move, bochs) { .driver = "bochs-drm" };
FIXTURE_VARIANT_ADD(move, qxl) { .driver = "qxl" };

FIXTURE_SETUP(move)
{
	int ret;

	ret = setup(&self->m, variant->driver);
	if (ret == -ENODEV)
		SKIP(return, "no %s or no vivid-000-vid-cap", variant->driver);
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(move)
{
	teardown(&self->m);
}

/* Showing the buffer may need it in video memory, where it cannot be moved. */
TEST_F(move, scanout)
{
	struct moving *m = &self->m;
	int ret;

	if (!m->crtc)
		SKIP(return, "no screen");

	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));
	ret = show(m);
	TH_LOG("showing the buffer: %s", strerror(-ret));
	EXPECT_TRUE(!ret || ret == -ENOSPC);
	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));

	/* It can be shown when the importer is done with it. */
	ASSERT_EQ(0, release(m));
	EXPECT_EQ(0, show(m));
}

TEST_F(move, swap_out)
{
	struct moving *m = &self->m;
	uint8_t *other;
	int ret;

	if (access(SWAP_OUT, R_OK))
		SKIP(return, "no " SWAP_OUT);

	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));
	ret = swap_out();
	TH_LOG("swapped out: %d", ret);
	ASSERT_GE(ret, 0);
	other = take_pages(m);
	ASSERT_NE(MAP_FAILED, other);

	EXPECT_EQ(FRAMES, capture(&m->q, m->reference));
	EXPECT_TRUE(is_filled(other, 0xa5, SIZE));
}

/* A mapping kept from before is stale if the buffer was swapped out. */
TEST_F(move, swap_out_unmapped)
{
	struct moving *m = &self->m;
	uint8_t *other;
	int ret;

	if (access(SWAP_OUT, R_OK))
		SKIP(return, "no " SWAP_OUT);

	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));
	ASSERT_EQ(0, release(m));
	ret = swap_out();
	TH_LOG("swapped out: %d", ret);
	ASSERT_GE(ret, 0);
	other = take_pages(m);
	ASSERT_NE(MAP_FAILED, other);

	ASSERT_EQ(0, import(m, m->dumb.handle));
	EXPECT_EQ(FRAMES, capture(&m->q, m->reference));
	EXPECT_TRUE(is_filled(other, 0xa5, SIZE));
}

FIXTURE(qxl)
{
	struct moving m;
};

FIXTURE_SETUP(qxl)
{
	int ret;

	ret = setup(&self->m, "qxl");
	if (ret == -ENODEV)
		SKIP(return, "no qxl or no vivid-000-vid-cap");
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(qxl)
{
	teardown(&self->m);
}

/* The largest command, without its release info */
#define COMMAND_SIZE	(256 - 8)

/* Draws nothing, but has a number written to the buffer. */
static int qxl_relocate(int drm, uint32_t handle, uint64_t offset,
			uint32_t command_size)
{
	static const uint8_t nothing[COMMAND_SIZE + 1];
	struct drm_qxl_reloc reloc = {
		.dst_handle = handle,
		.dst_offset = offset,
		.reloc_type = QXL_RELOC_TYPE_SURF,
	};
	struct drm_qxl_command command = {
		.command = (uintptr_t)nothing,
		.command_size = command_size,
		.relocs = (uintptr_t)&reloc,
		.relocs_num = 1,
		.type = QXL_CMD_DRAW,
	};
	struct drm_qxl_execbuffer execbuffer = {
		.commands = (uintptr_t)&command,
		.commands_num = 1,
	};

	return ioctl(drm, DRM_IOCTL_QXL_EXECBUFFER, &execbuffer) ? -errno : 0;
}

/* qxl commands map the buffers that they change, too. */
TEST_F(qxl, command)
{
	struct moving *m = &self->m;

	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));
	ASSERT_EQ(0, qxl_relocate(m->drm, m->dumb.handle, 0, COMMAND_SIZE));
	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));
}

/* Commands change their buffers at the given offset, and nothing beyond. */
TEST_F(qxl, command_bounds)
{
	struct moving *m = &self->m;
	uint32_t handle = m->dumb.handle;
	uint64_t size = m->dumb.size;

	EXPECT_EQ(0, qxl_relocate(m->drm, handle, 4096, COMMAND_SIZE));
	EXPECT_EQ(0, qxl_relocate(m->drm, handle, size - 4, COMMAND_SIZE));
	EXPECT_EQ(-EINVAL, qxl_relocate(m->drm, handle, size - 3,
					COMMAND_SIZE));
	EXPECT_EQ(-EINVAL, qxl_relocate(m->drm, handle, size, COMMAND_SIZE));
	EXPECT_EQ(-EINVAL, qxl_relocate(m->drm, handle, 1ULL << 32,
					COMMAND_SIZE));
	EXPECT_EQ(-EINVAL, qxl_relocate(m->drm, 0, 256, COMMAND_SIZE));
	EXPECT_EQ(-EINVAL, qxl_relocate(m->drm, handle, 0, COMMAND_SIZE + 1));
	ASSERT_EQ(FRAMES, capture(&m->q, m->reference));
}

/*
 * Buffers of qxl leave video memory when others want it. An importer brings
 * them back by attaching, and vivid cannot use them there.
 */
TEST_F(qxl, evict)
{
	struct moving *m = &self->m;
	struct drm_qxl_alloc alloc = { .size = SIZE };
	uint32_t handle = 0;
	int i;

	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, ioctl(m->drm, DRM_IOCTL_QXL_ALLOC, &alloc));
		if (!i)
			handle = alloc.handle;
	}

	ASSERT_EQ(0, release(m));
	ASSERT_EQ(0, import(m, handle));
	EXPECT_EQ(-EOPNOTSUPP, vivid_qbuf(&m->q, 0));
}

TEST_HARNESS_MAIN
