// SPDX-License-Identifier: GPL-2.0
/*
 * The driver gud with an emulated USB display: dma-bufs of other drivers are
 * imported, and the display has to get what is in them, until it is unplugged.
 *
 * Needs root, debugfs, /dev/raw-gadget and dummy_hcd. Missing exporters are
 * skipped, and without vivid so are the tests that need a camera. One test
 * suspends the machine for some seconds.
 */

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "dmabuf_shadow.h"
#include "drm_screen.h"
#include "gud_display.h"
#include "vivid.h"

#define BUFFERS		3
#define FRAMES		60
#define ROUNDS		20
#define SECONDS		10

/* what is in memory that is not the camera's */
#define FILLED		0xa5

#define PM_TEST		"/sys/power/pm_test"
#define SWAP_OUT	"/sys/kernel/debug/ttm/tt_shrink"

/* The display as user space sees it, and the pictures that it can show */
struct card {
	struct screen s;
	uint32_t handle[BUFFERS];
	uint32_t fb[BUFFERS];
};

static void open_card(struct __test_metadata *_metadata,
		      struct display *display, struct card *card)
{
	card->s.drm = display_open(display);
	ASSERT_GE(card->s.drm, 0) {
		TH_LOG("no card: %s", strerror(-card->s.drm));
	}
	ASSERT_EQ(0, screen_find(&card->s, DISPLAY_WIDTH, DISPLAY_HEIGHT));
}

static int import(struct card *card, int i, int dmabuf)
{
	int ret;

	ret = screen_import(&card->s, dmabuf, &card->handle[i]);

	return ret ? ret : screen_add(&card->s, card->handle[i], &card->fb[i]);
}

static int show(struct card *card, int i)
{
	return screen_show(&card->s, card->fb[i]);
}

static int flush(struct card *card, int i)
{
	return screen_flush(&card->s, card->fb[i]);
}

static int forget(struct card *card, int i)
{
	struct drm_gem_close close = { .handle = card->handle[i] };
	int ret;

	ret = v4l2_ioctl(card->s.drm, DRM_IOCTL_MODE_RMFB, &card->fb[i]);

	return ret ? ret : v4l2_ioctl(card->s.drm, DRM_IOCTL_GEM_CLOSE, &close);
}

static int attachments(int dmabuf)
{
	int cpu_only;

	return dmabuf_attachments(dmabuf, &cpu_only);
}

/* What a program sees in a dma-buf that is mapped at @mem */
static int read_picture(int dmabuf, const void *mem, uint32_t *picture)
{
	int ret;

	ret = sync_begin(dmabuf, DMA_BUF_SYNC_READ);
	if (ret)
		return ret;
	memcpy(picture, mem, DISPLAY_SIZE);

	return sync_end(dmabuf, DMA_BUF_SYNC_READ);
}

static int write_picture(int dmabuf, void *mem, const uint32_t *picture)
{
	int ret;

	ret = sync_begin(dmabuf, DMA_BUF_SYNC_WRITE);
	if (ret)
		return ret;
	memcpy(mem, picture, DISPLAY_SIZE);

	return sync_end(dmabuf, DMA_BUF_SYNC_WRITE);
}

static int vivid_alloc(size_t size)
{
	return vivid_alloc_export("vivid-001-vid-cap", size);
}

FIXTURE(exporter)
{
	struct display display;
	struct card card;
	int dmabuf;
	void *mem;
};

FIXTURE_VARIANT(exporter)
{
	int (*alloc)(size_t size);
	/* which gud may refuse */
	bool io_memory;
};

FIXTURE_VARIANT_ADD(exporter, system_heap) { system_heap_alloc };
FIXTURE_VARIANT_ADD(exporter, cma_heap) { cma_heap_alloc };
FIXTURE_VARIANT_ADD(exporter, shadow_heap) { shadow_heap_alloc };
FIXTURE_VARIANT_ADD(exporter, udmabuf) { udmabuf_alloc };
FIXTURE_VARIANT_ADD(exporter, udmabuf_hugetlb) { udmabuf_hugetlb_alloc };
FIXTURE_VARIANT_ADD(exporter, vgem) { vgem_alloc };
FIXTURE_VARIANT_ADD(exporter, virtio_gpu) { virtio_gpu_alloc };
FIXTURE_VARIANT_ADD(exporter, vkms) { vkms_alloc };
FIXTURE_VARIANT_ADD(exporter, bochs) { bochs_alloc };
FIXTURE_VARIANT_ADD(exporter, qxl_dumb) { qxl_dumb_alloc };
FIXTURE_VARIANT_ADD(exporter, qxl_vram) { qxl_vram_alloc, true };
FIXTURE_VARIANT_ADD(exporter, vivid) { vivid_alloc };

FIXTURE_SETUP(exporter)
{
	int ret;

	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);
	self->dmabuf = variant->alloc(DISPLAY_SIZE);
	if (self->dmabuf == -ENODEV)
		SKIP(return, "no such exporter");
	ASSERT_GE(self->dmabuf, 0);
	self->mem = mmap(NULL, DISPLAY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ret = display_plug(&self->display);
	if (ret == -ENODEV)
		SKIP(return, "no " DISPLAY_NEEDS);
	ASSERT_EQ(0, ret);
	open_card(_metadata, &self->display, &self->card);
}

FIXTURE_TEARDOWN(exporter)
{
	close(self->card.s.drm);
	display_unplug(&self->display);
	EXPECT_EQ(0, attachments(self->dmabuf));
	munmap(self->mem, DISPLAY_SIZE);
	close(self->dmabuf);
}

/* The display gets each picture, no matter who writes it. */
TEST_F_TIMEOUT(exporter, pictures, 60)
{
	bool shadow = shadow_count(self->dmabuf, "begins") >= 0;
	static uint32_t picture[DISPLAY_PIXELS];
	int i, ret;

	ASSERT_EQ(0, import(&self->card, 0, self->dmabuf));
	for (i = 0; i < 4; i++) {
		fill_noise(picture, DISPLAY_SIZE, i);
		/* unless told to, the CPU does not see what a device writes */
		ret = shadow && i % 2 ?
		      shadow_device_write(self->dmabuf, picture, DISPLAY_SIZE) :
		      write_picture(self->dmabuf, self->mem, picture);
		ASSERT_EQ(0, ret);
		ret = i ? flush(&self->card, 0) : show(&self->card, 0);
		if (variant->io_memory && ret == -EIO)
			SKIP(return, "I/O memory is refused");
		ASSERT_EQ(0, ret);
		EXPECT_EQ(0, display_differs(&self->display, picture,
					     SECONDS)) {
			TH_LOG("pixels of picture %d that differ", i);
		}
	}
	if (!shadow)
		return;
	EXPECT_EQ(shadow_count(self->dmabuf, "begins"),
		  shadow_count(self->dmabuf, "ends"));
	EXPECT_TRUE(shadow_no_writer(self->dmabuf));
}

/* Only the CPU reads the pictures, so no device is attached. */
TEST_F(exporter, attached)
{
	int ret, cpu_only;

	EXPECT_EQ(0, attachments(self->dmabuf));
	ASSERT_EQ(0, import(&self->card, 0, self->dmabuf));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf, &cpu_only));
	EXPECT_EQ(1, cpu_only);
	ret = show(&self->card, 0);
	EXPECT_TRUE(!ret || (variant->io_memory && ret == -EIO));
	EXPECT_EQ(1, attachments(self->dmabuf));
	ASSERT_EQ(0, forget(&self->card, 0));
	EXPECT_EQ(0, attachments(self->dmabuf));
}

FIXTURE(camera)
{
	struct display display;
	struct card card;
	struct vivid_queue q;
	int dmabuf[BUFFERS];
};

/* Whose buffers the camera fills: those of the display, or of an allocator */
FIXTURE_VARIANT(camera)
{
	int (*alloc)(size_t size);
};

FIXTURE_VARIANT_ADD(camera, gud) { NULL };
FIXTURE_VARIANT_ADD(camera, system_heap) { system_heap_alloc };
FIXTURE_VARIANT_ADD(camera, shadow_heap) { shadow_heap_alloc };
FIXTURE_VARIANT_ADD(camera, qxl_dumb) { qxl_dumb_alloc };

/* Exports a buffer of the display, which lives until the dma-buf is closed. */
static int display_alloc(struct card *card)
{
	struct drm_mode_create_dumb dumb = {
		.width = DISPLAY_WIDTH, .height = DISPLAY_HEIGHT, .bpp = 32,
	};
	int ret;

	ret = v4l2_ioctl(card->s.drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb);

	return ret ? ret : drm_export(card->s.drm, dumb.handle);
}

FIXTURE_SETUP(camera)
{
	struct vivid_queue *q = &self->q;
	int i, ret;

	self->card.s.drm = -1;
	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);
	ret = display_plug(&self->display);
	if (ret == -ENODEV)
		SKIP(return, "no " DISPLAY_NEEDS);
	ASSERT_EQ(0, ret);
	open_card(_metadata, &self->display, &self->card);
	for (i = 0; i < BUFFERS; i++) {
		self->dmabuf[i] = variant->alloc ?
				  variant->alloc(DISPLAY_SIZE) :
				  display_alloc(&self->card);
		if (self->dmabuf[i] == -ENODEV)
			SKIP(return, "no such exporter");
		ASSERT_GE(self->dmabuf[i], 0);
	}
	q->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	q->fd = vivid_open("vivid-000-vid-cap");
	if (q->fd == -ENODEV)
		SKIP(return, "no instance 0 of vivid");
	ASSERT_GE(q->fd, 0);
	ASSERT_EQ(0, vivid_set_input(q->fd, "Webcam"));
	ASSERT_EQ(0, vivid_set_format(q->fd, q->type, DISPLAY_WIDTH,
				      DISPLAY_HEIGHT));
	ASSERT_EQ(0, vivid_set_rate(q->fd, 60));
	ASSERT_EQ(0, vivid_alloc_dmabuf(q, BUFFERS, self->dmabuf,
					DISPLAY_SIZE));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, vivid_poison(q, i));
		ASSERT_EQ(0, vivid_qbuf(q, i));
	}
	ASSERT_EQ(0, vivid_streamon(q));
}

FIXTURE_TEARDOWN(camera)
{
	int i;

	close(self->card.s.drm);
	display_unplug(&self->display);
	close(self->q.fd);
	for (i = 0; i < BUFFERS; i++) {
		EXPECT_EQ(0, attachments(self->dmabuf[i]));
		if (shadow_count(self->dmabuf[i], "begins") >= 0)
			EXPECT_TRUE(shadow_no_writer(self->dmabuf[i]));
		munmap(self->q.mem[i], DISPLAY_SIZE);
		close(self->dmabuf[i]);
	}
}

static void import_all(struct __test_metadata *_metadata, struct card *card,
		       const int *dmabuf)
{
	int i;

	for (i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, import(card, i, dmabuf[i]));
}

/*
 * Shows the next frame of the camera, which gets back the buffer of @shown, if
 * there is one. Updates @shown and returns the result of the commit.
 */
static int show_next(struct __test_metadata *_metadata, struct card *card,
		     struct vivid_queue *q, int *shown)
{
	int i, ret;

	i = vivid_dqbuf(q);
	ASSERT_GE(i, 0);
	ret = show(card, i);
	if (*shown >= 0) {
		ASSERT_EQ(0, vivid_poison(q, *shown));
		ASSERT_EQ(0, vivid_qbuf(q, *shown));
	}
	*shown = i;

	return ret;
}

/* Shows the next frame of the camera, and compares what the display gets. */
static void expect_next(struct __test_metadata *_metadata, struct card *card,
			struct display *display, struct vivid_queue *q,
			int *shown)
{
	static uint32_t picture[DISPLAY_PIXELS];

	ASSERT_EQ(0, show_next(_metadata, card, q, shown));
	ASSERT_EQ(0, read_picture(q->dmabuf[*shown], q->mem[*shown], picture));
	ASSERT_FALSE(is_filled((uint8_t *)picture, POISON, DISPLAY_SIZE));
	EXPECT_EQ(0, display_differs(display, picture, SECONDS));
}

/* The display gets what the camera has captured. */
TEST_F_TIMEOUT(camera, frames, 60)
{
	struct vivid_queue *q = &self->q;
	int i, n, cpu_only, attached = 0, shown = -1;

	import_all(_metadata, &self->card, self->dmabuf);
	for (n = 0; n < FRAMES; n++)
		expect_next(_metadata, &self->card, &self->display, q, &shown);
	for (i = 0; i < BUFFERS; i++) {
		/* the camera's, and that of a display that has imported */
		ASSERT_EQ(variant->alloc ? 2 : 1,
			  dmabuf_attachments(self->dmabuf[i], &cpu_only));
		EXPECT_EQ(variant->alloc ? 2 : 1, cpu_only);
		attached += cpu_only;
	}
	TH_LOG("display %d frames, %d attachments", n, attached);
	ASSERT_EQ(0, vivid_streamoff(q));
}

/*
 * TTM swaps out one buffer each time that somebody reads this file, and says
 * how many pages that were. Returns how many buffers it has swapped out.
 */
static int swap_out(void)
{
	char pages[16];
	int i, fd;
	bool more;

	for (i = 0; i < 64; i++) {
		memset(pages, 0, sizeof(pages));
		fd = open(SWAP_OUT, O_RDONLY | O_CLOEXEC);
		more = read(fd, pages, sizeof(pages) - 1) > 0 &&
		       atoi(pages) > 0;
		close(fd);
		if (!more)
			break;
	}

	return i;
}

static uint8_t *map_filled(int dmabuf, size_t size)
{
	uint8_t *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (mem != MAP_FAILED)
		memset(mem, FILLED, size);

	return mem;
}

/*
 * Buffers in use must not be moved, only others: frames would be lost, and
 * those who get the memory would find frames in it.
 */
TEST_F_TIMEOUT(camera, evict, 60)
{
	struct vivid_queue *q = &self->q;
	int n, unused, other, shown = -1;
	uint8_t *unused_mem, *other_mem;

	if (variant->alloc != qxl_dumb_alloc || access(SWAP_OUT, R_OK))
		SKIP(return, "nothing of that is swapped out by TTM");
	import_all(_metadata, &self->card, self->dmabuf);
	for (n = 0; n < BUFFERS; n++)
		expect_next(_metadata, &self->card, &self->display, q, &shown);

	unused = qxl_dumb_alloc(DISPLAY_SIZE);
	ASSERT_GE(unused, 0);
	unused_mem = map_filled(unused, DISPLAY_SIZE);
	ASSERT_NE(MAP_FAILED, unused_mem);
	ASSERT_LT(0, swap_out());
	/* which is likely to get the pages that were freed last */
	other = system_heap_alloc(BUFFERS * DISPLAY_SIZE);
	ASSERT_GE(other, 0);
	other_mem = map_filled(other, BUFFERS * DISPLAY_SIZE);
	ASSERT_NE(MAP_FAILED, other_mem);

	for (n = 0; n < FRAMES; n++) {
		expect_next(_metadata, &self->card, &self->display, q, &shown);
		swap_out();
	}
	EXPECT_TRUE(is_filled(other_mem, FILLED, BUFFERS * DISPLAY_SIZE));
	EXPECT_TRUE(is_filled(unused_mem, FILLED, DISPLAY_SIZE));
	ASSERT_EQ(0, vivid_streamoff(q));
	munmap(other_mem, BUFFERS * DISPLAY_SIZE);
	munmap(unused_mem, DISPLAY_SIZE);
	close(other);
	close(unused);
}

static void *unplug(void *display)
{
	display_unplug(display);

	return NULL;
}

static bool is_gone(struct card *card)
{
	struct drm_mode_card_res res = { };

	return v4l2_ioctl(card->s.drm, DRM_IOCTL_MODE_GETRESOURCES, &res) ==
	       -ENODEV;
}

/* The driver notices only later. */
static void wait_gone(struct card *card)
{
	int tries;

	for (tries = 0; tries < SECONDS * 1000 && !is_gone(card); tries++)
		usleep(1000);
}

/* Waits until the camera is the only one that has attached. */
static int last_attachments(int dmabuf)
{
	int tries;

	for (tries = 0; tries < SECONDS * 1000; tries++) {
		if (attachments(dmabuf) == 1)
			break;
		usleep(1000);
	}

	return attachments(dmabuf);
}

static void expect_gone(struct __test_metadata *_metadata, struct card *card,
			int dmabuf)
{
	EXPECT_TRUE(is_gone(card));
	EXPECT_EQ(-ENODEV, flush(card, 0));
	EXPECT_EQ(-ENODEV, import(card, 0, dmabuf));
	EXPECT_EQ(-ENODEV, forget(card, 0));
}

/* Unplug the busy display: the camera and its frames must not suffer. */
TEST_F_TIMEOUT(camera, unplug, 120)
{
	struct vivid_queue *q = &self->q;
	static uint32_t picture[DISPLAY_PIXELS], after[DISPLAY_PIXELS];
	int i, n, round, shown = -1;
	pthread_t thread;

	for (round = 0; round < ROUNDS; round++) {
		if (round) {
			ASSERT_EQ(0, display_plug(&self->display));
			open_card(_metadata, &self->display, &self->card);
		}
		import_all(_metadata, &self->card, self->dmabuf);
		ASSERT_EQ(0, show_next(_metadata, &self->card, q, &shown));

		/* at once, or when it has shown a few frames */
		for (n = 0; n < round % 4; n++)
			ASSERT_EQ(0, show_next(_metadata, &self->card, q,
					       &shown));
		ASSERT_EQ(0, pthread_create(&thread, NULL, unplug,
					    &self->display));
		while (show_next(_metadata, &self->card, q, &shown) != -ENODEV)
			;
		ASSERT_EQ(0, pthread_join(thread, NULL));
		expect_gone(_metadata, &self->card, self->dmabuf[0]);

		ASSERT_EQ(0, read_picture(self->dmabuf[shown], q->mem[shown],
					  picture));
		EXPECT_FALSE(is_filled((uint8_t *)picture, POISON,
				       DISPLAY_SIZE));
		for (n = 0; n < 2 * BUFFERS; n++) {
			i = vivid_dqbuf(q);
			ASSERT_GE(i, 0);
			ASSERT_EQ(0, vivid_qbuf(q, i));
		}
		ASSERT_EQ(0, close(self->card.s.drm));
		self->card.s.drm = -1;
		ASSERT_EQ(0, read_picture(self->dmabuf[shown], q->mem[shown],
					  after));
		EXPECT_EQ(0, memcmp(picture, after, DISPLAY_SIZE));
		/* the one of the camera */
		for (i = 0; i < BUFFERS; i++)
			EXPECT_EQ(1, attachments(self->dmabuf[i]));
	}
	ASSERT_EQ(0, vivid_streamoff(q));
}

/* Suspends all devices, and resumes them after some seconds. */
static bool suspend(void)
{
	bool suspended;

	suspended = write_file(PM_TEST, "devices") &&
		    write_file("/sys/power/state", "freeze");

	return write_file(PM_TEST, "none") && suspended;
}

/*
 * Suspend the machine while the camera streams into what the display shows. The
 * process of the display is frozen when USB resumes it, so it is lost as if it
 * was unplugged. The camera goes on, also with another display.
 */
TEST_F_TIMEOUT(camera, suspend, 120)
{
	struct vivid_queue *q = &self->q;
	int i, n, shown = -1;

	if (access(PM_TEST, W_OK))
		SKIP(return, "no " PM_TEST);
	import_all(_metadata, &self->card, self->dmabuf);
	for (n = 0; n < BUFFERS; n++)
		expect_next(_metadata, &self->card, &self->display, q, &shown);
	ASSERT_TRUE(suspend());
	for (n = 0; n < 2 * BUFFERS; n++)
		show_next(_metadata, &self->card, q, &shown);
	wait_gone(&self->card);
	expect_gone(_metadata, &self->card, self->dmabuf[0]);
	close(self->card.s.drm);
	display_unplug(&self->display);
	/* the one of the camera */
	for (i = 0; i < BUFFERS; i++)
		EXPECT_EQ(1, last_attachments(self->dmabuf[i]));

	ASSERT_EQ(0, display_plug(&self->display));
	open_card(_metadata, &self->display, &self->card);
	import_all(_metadata, &self->card, self->dmabuf);
	for (n = 0; n < FRAMES; n++)
		expect_next(_metadata, &self->card, &self->display, q, &shown);
	ASSERT_EQ(0, vivid_streamoff(q));
}

TEST_HARNESS_MAIN
