// SPDX-License-Identifier: GPL-2.0
/*
 * Fails the n-th allocation while a buffer is exported, imported, filled and
 * freed, for every n until none fails. Each call succeeds or returns ENOMEM,
 * ENOSPC (shmem) or ENOBUFS (fewer buffers), and no dma-buf is left.
 *
 * Needs root, debugfs, CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC and
 * CONFIG_FAULT_INJECTION_DEBUG_FS, whose settings it leaves changed. Exporters
 * that are not there are skipped.
 *
 *	modprobe vivid n_devs=10 allocators=0,0,0,1,0,0,0,0,0,2
 *	modprobe vim2m
 *	modprobe vicodec
 */

#include <sched.h>
#include <stdlib.h>

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "dmabuf_fence.h"
#include "uvc_camera.h"
#include "vivid.h"

#define FAULTS		"/sys/kernel/debug/"

/* the largest frame of vivid that fits into one bounce buffer */
#define WIDTH		320
#define HEIGHT		180
#define SIZE		(4 * WIDTH * HEIGHT)

#define M2M_WIDTH	640
#define M2M_HEIGHT	360
#define M2M_SIZE	(16 * M2M_WIDTH * M2M_HEIGHT)

#define MAX_FILES	16

/* The settings of a life, what it has opened and mapped, and its outcome */
struct life {
	char node[32];
	char media[32];
	char exporter[64];
	uint32_t pixelformat[2];
	bool streams;
	struct camera camera;
	int nth;
	int opened[MAX_FILES];
	unsigned int count;
	void *mem;
	size_t size;
	int steps;
	int error;
};

/* Records what a step returned. Returns false, to end the life, on error. */
static bool ok(struct life *life, int ret)
{
	life->steps++;
	life->error = ret < 0 ? ret : 0;

	return ret >= 0;
}

/* The same for a file, which is closed when life ends */
static bool got(struct life *life, int *fd, int ret)
{
	if (!ok(life, ret))
		return false;
	life->opened[life->count++] = ret;
	*fd = ret;

	return true;
}

/* For calls that set errno */
static int or_errno(int ret)
{
	return ret < 0 ? -errno : ret;
}

static int open_path(const char *path)
{
	return or_errno(open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
}

static int map(struct life *life, int fd, size_t size)
{
	void *mem;

	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	life->mem = mem;
	life->size = size;

	return 0;
}

static void end(struct life *life)
{
	if (life->mem)
		munmap(life->mem, life->size);
	life->mem = NULL;
	while (life->count)
		close(life->opened[--life->count]);
}

static bool export_heap(struct life *life, size_t size, int *dmabuf)
{
	struct dma_heap_allocation_data data = {
		.len = size, .fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap;

	return got(life, &heap, open_path(life->exporter)) &&
	       ok(life, v4l2_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data)) &&
	       got(life, dmabuf, data.fd);
}

static bool export_udmabuf(struct life *life, int *dmabuf)
{
	struct udmabuf_create create = {
		.flags = UDMABUF_FLAGS_CLOEXEC, .size = 4 * 65536,
	};
	int memfd, dev;

	if (!got(life, &memfd,
		 or_errno(memfd_create("life", MFD_ALLOW_SEALING))))
		return false;
	create.memfd = memfd;

	return ok(life, or_errno(ftruncate(memfd, create.size))) &&
	       ok(life, or_errno(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))) &&
	       got(life, &dev, open_path(life->exporter)) &&
	       got(life, dmabuf, or_errno(ioctl(dev, UDMABUF_CREATE, &create)));
}

static bool export_dumb(struct life *life, int *dmabuf)
{
	struct drm_mode_create_dumb dumb = {
		.width = WIDTH, .height = HEIGHT, .bpp = 32,
	};
	int drm;

	return got(life, &drm, open_path(life->exporter)) &&
	       ok(life, v4l2_ioctl(drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb)) &&
	       got(life, dmabuf, drm_export(drm, dumb.handle));
}

/* A buffer that is done may have the error flag, and nothing in it. */
static int fill(struct vivid_queue *q)
{
	struct v4l2_buffer buf;
	int ret;

	if (poll_queue(q, -1) < 0)
		return -errno;
	ret = take_buffer(q, &buf);

	return buf.flags & V4L2_BUF_FLAG_ERROR ? 0 : ret;
}

/* A failed STREAMON leaves the buffers queued: try again with memory. */
static int stream_again(struct life *life, struct vivid_queue *q)
{
	struct v4l2_buffer buf;
	int i, ret;

	if (pwrite(life->nth, "0", 1, 0) != 1)
		return -errno;
	/* nothing fails on purpose any more, so no error is excused */
	if (vivid_streamon(q))
		return -EBADMSG;
	ret = camera_ask(&life->camera, CAMERA_FRAME, 2);
	for (i = 0; i < 2 && ret >= 0; i++) {
		if (poll_queue(q, -1) < 0)
			return -errno;
		ret = take_buffer(q, &buf);
		if (buf.flags & V4L2_BUF_FLAG_ERROR)
			return -EBADMSG;
	}

	return ret;
}

static bool stream(struct life *life, struct vivid_queue *q)
{
	bool usb = life->camera.pid;
	int error;

	if (!ok(life, vivid_streamon(q))) {
		error = life->error;
		if (usb && ok(life, stream_again(life, q)))
			life->error = error;
		return false;
	}

	return (!usb || ok(life, camera_ask(&life->camera, CAMERA_FRAME, 2))) &&
	       ok(life, fill(q)) && ok(life, fill(q)) &&
	       ok(life, vivid_streamoff(q));
}

/* A dma-buf is mapped, prepared, filled by a camera and given back. */
static bool import(struct life *life, int dmabuf)
{
	struct vivid_queue q = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF,
		.size = SIZE,
		.dmabuf = { dmabuf, dmabuf },
	};

	return got(life, &q.fd, open_path(life->node)) &&
	       ok(life, map(life, dmabuf, SIZE)) &&
	       ok(life, sync_begin(dmabuf, DMA_BUF_SYNC_RW)) &&
	       ok(life, sync_end(dmabuf, DMA_BUF_SYNC_RW)) &&
	       ok(life, vivid_reqbufs(&q, 2)) &&
	       (life->camera.pid ||
		ok(life, vivid_try_buffer(&q, 0, VIDIOC_PREPARE_BUF))) &&
	       ok(life, vivid_try_buffer(&q, 0, VIDIOC_QBUF)) &&
	       ok(life, vivid_try_buffer(&q, 1, VIDIOC_QBUF)) &&
	       (!life->streams || stream(life, &q)) &&
	       ok(life, vivid_reqbufs(&q, 0));
}

static bool heap(struct life *life)
{
	int dmabuf;

	return export_heap(life, SIZE, &dmabuf) && import(life, dmabuf);
}

static bool udmabuf(struct life *life)
{
	int dmabuf;

	return export_udmabuf(life, &dmabuf) && import(life, dmabuf);
}

static bool dumb(struct life *life)
{
	int dmabuf;

	return export_dumb(life, &dmabuf) && import(life, dmabuf);
}

/* A display imports a buffer of a heap. */
static bool prime(struct life *life)
{
	struct drm_prime_handle prime = { };
	int drm;

	return export_heap(life, SIZE, &prime.fd) &&
	       got(life, &drm, open_path(life->node)) &&
	       ok(life, v4l2_ioctl(drm, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));
}

/* A camera's own buffers are exported, filled and removed. */
static bool export(struct life *life)
{
	struct vivid_queue q = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
	};
	struct v4l2_create_buffers create = {
		.count = 1, .memory = q.memory, .format.type = q.type,
	};
	struct v4l2_remove_buffers remove = {
		.index = 2, .count = 1, .type = q.type,
	};
	int dmabuf;

	return got(life, &q.fd, open_path(life->node)) &&
	       ok(life, vivid_reqbufs(&q, 2)) &&
	       ok(life, v4l2_ioctl(q.fd, VIDIOC_G_FMT, &create.format)) &&
	       ok(life, v4l2_ioctl(q.fd, VIDIOC_CREATE_BUFS, &create)) &&
	       ok(life, vivid_qbuf(&q, 0)) && ok(life, vivid_qbuf(&q, 1)) &&
	       got(life, &dmabuf, vivid_export(&q, 2)) &&
	       ok(life, map(life, dmabuf, SIZE)) &&
	       ok(life, sync_begin(dmabuf, DMA_BUF_SYNC_RW)) &&
	       ok(life, sync_end(dmabuf, DMA_BUF_SYNC_RW)) &&
	       stream(life, &q) &&
	       ok(life, v4l2_ioctl(q.fd, VIDIOC_REMOVE_BUFS, &remove)) &&
	       ok(life, vivid_reqbufs(&q, 0));
}

static bool request_once(struct life *life, struct vivid_queue *q)
{
	struct v4l2_ext_control ctrl = {
		.id = V4L2_CID_BRIGHTNESS, .value = 128,
	};

	return ok(life, vivid_set_in_request(q->fd, q->request, &ctrl)) &&
	       ok(life, vivid_qbuf(q, 0)) &&
	       ok(life, queue_request(q->request)) && ok(life, fill(q)) &&
	       ok(life, reinit_request(q->request));
}

/* The buffer and a control are in a request, which is used twice. */
static bool request(struct life *life)
{
	struct vivid_queue q = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF,
		.size = SIZE,
	};
	int media, fd;

	return export_heap(life, SIZE, &q.dmabuf[0]) &&
	       got(life, &q.fd, open_path(life->node)) &&
	       got(life, &media, open_path(life->media)) &&
	       ok(life, vivid_reqbufs(&q, 2)) &&
	       ok(life, v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC, &fd)) &&
	       got(life, &q.request, fd) && ok(life, vivid_streamon(&q)) &&
	       request_once(life, &q) && request_once(life, &q) &&
	       ok(life, vivid_streamoff(&q));
}

/* A device copies, or encodes, from one dma-buf to another. */
static bool m2m(struct life *life)
{
	struct vivid_queue out = {
		.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.memory = V4L2_MEMORY_DMABUF,
		.size = M2M_SIZE,
	};
	struct vivid_queue cap = out;

	cap.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	return export_heap(life, M2M_SIZE, &out.dmabuf[0]) &&
	       export_heap(life, M2M_SIZE, &cap.dmabuf[0]) &&
	       got(life, &out.fd, open_path(life->node)) &&
	       ok(life, cap.fd = out.fd) &&
	       ok(life, vivid_set_pix(&out, life->pixelformat[0], M2M_WIDTH,
				      M2M_HEIGHT)) &&
	       ok(life, vivid_set_pix(&cap, life->pixelformat[1], M2M_WIDTH,
				      M2M_HEIGHT)) &&
	       ok(life, vivid_reqbufs(&out, 2)) &&
	       ok(life, vivid_reqbufs(&cap, 2)) &&
	       ok(life, vivid_qbuf(&out, 0)) && ok(life, vivid_qbuf(&cap, 0)) &&
	       ok(life, vivid_streamon(&out)) &&
	       ok(life, vivid_streamon(&cap)) && ok(life, fill(&cap)) &&
	       ok(life, vivid_streamoff(&out)) &&
	       ok(life, vivid_streamoff(&cap));
}

FIXTURE(life)
{
	struct life life;
	int nth;
};

/* The exporter is a file or a DRM driver, the importer a node or a display. */
FIXTURE_VARIANT(life)
{
	bool (*live)(struct life *life);
	const char *exporter;
	const char *display;
	const char *node;
	uint32_t pixelformat[2];
	unsigned int allocator;
	bool streams;
	bool usb;
};

#define SYSTEM_HEAP	"/dev/dma_heap/system"
#define SHADOW_HEAP	"/dev/dma_heap/shadow"
#define CMA_HEAP	"/dev/dma_heap/default_cma_region"
#define CMA_HEAP_OLD	"/dev/dma_heap/reserved"
#define UDMABUF		"/dev/udmabuf"

FIXTURE_VARIANT_ADD(life, system_heap) {
	.live = heap, .exporter = SYSTEM_HEAP, .streams = true,
};

FIXTURE_VARIANT_ADD(life, system_heap_dma_sg) {
	.live = heap, .exporter = SYSTEM_HEAP, .allocator = 2, .streams = true,
};

FIXTURE_VARIANT_ADD(life, cma_heap) { .live = heap, .exporter = CMA_HEAP };

FIXTURE_VARIANT_ADD(life, cma_heap_dma_contig) {
	.live = heap, .exporter = CMA_HEAP, .allocator = 1, .streams = true,
};

FIXTURE_VARIANT_ADD(life, shadow_heap) {
	.live = heap, .exporter = SHADOW_HEAP
};

FIXTURE_VARIANT_ADD(life, udmabuf) { .live = udmabuf, .exporter = UDMABUF };
FIXTURE_VARIANT_ADD(life, vgem) { .live = dumb, .exporter = "vgem" };
FIXTURE_VARIANT_ADD(life, vkms) { .live = dumb, .exporter = "vkms" };
FIXTURE_VARIANT_ADD(life, bochs) { .live = dumb, .exporter = "bochs-drm" };

FIXTURE_VARIANT_ADD(life, virtio_gpu) {
	.live = dumb, .exporter = "virtio_gpu"
};

FIXTURE_VARIANT_ADD(life, qxl) { .live = dumb, .exporter = "qxl" };

FIXTURE_VARIANT_ADD(life, prime) {
	.live = prime, .exporter = SYSTEM_HEAP, .display = "vkms"
};

FIXTURE_VARIANT_ADD(life, export_vmalloc) { .live = export };

FIXTURE_VARIANT_ADD(life, export_dma_contig) {
	.live = export, .allocator = 1
};

FIXTURE_VARIANT_ADD(life, export_dma_sg) { .live = export, .allocator = 2 };

FIXTURE_VARIANT_ADD(life, request) {
	.live = request, .exporter = SYSTEM_HEAP
};

FIXTURE_VARIANT_ADD(life, usb_camera) {
	.live = heap, .exporter = SYSTEM_HEAP, .streams = true, .usb = true,
};

FIXTURE_VARIANT_ADD(life, vim2m) {
	.live = m2m, .exporter = SYSTEM_HEAP, .node = "vim2m",
	.pixelformat = { V4L2_PIX_FMT_RGB565, V4L2_PIX_FMT_RGB565 },
};

FIXTURE_VARIANT_ADD(life, encoder) {
	.live = m2m, .exporter = SYSTEM_HEAP, .node = "stateful-encoder",
	.pixelformat = { V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_FWHT },
};

/* Where an open file can be opened again */
static int get_path(int fd, char *path, size_t size)
{
	char link[32];
	ssize_t length;

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, size - 1);
	if (length < 0)
		return -errno;
	path[length] = '\0';
	close(fd);

	return 0;
}

static int find_exporter(struct life *life, const char *exporter)
{
	if (!exporter)
		return 0;
	if (exporter[0] != '/')
		return get_path(drm_open(exporter), life->exporter,
				sizeof(life->exporter));
	if (!strcmp(exporter, CMA_HEAP) && access(exporter, F_OK))
		exporter = CMA_HEAP_OLD;
	snprintf(life->exporter, sizeof(life->exporter), "%s", exporter);

	return access(exporter, F_OK) ? -ENODEV : 0;
}

/* A camera keeps its format when it is closed. */
static int find_camera(struct life *life, unsigned int allocator)
{
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int media, ret;

	q.fd = vivid_open_allocator(allocator, "vid-cap");
	if (q.fd < 0)
		return q.fd;
	ret = vivid_set_input(q.fd, "Webcam");
	if (!ret)
		ret = vivid_set_format(q.fd, q.type, WIDTH, HEIGHT);
	if (!ret)
		ret = vivid_set_rate(q.fd, 60);
	media = vivid_open_media(q.fd);
	if (!ret)
		ret = get_path(media, life->media, sizeof(life->media));

	return ret ? ret : get_path(q.fd, life->node, sizeof(life->node));
}

static int find_usb_camera(struct life *life)
{
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int ret = camera_plug(&life->camera, false);

	if (ret)
		return ret;
	q.fd = camera_open(&life->camera, V4L2_CAP_VIDEO_CAPTURE);
	if (q.fd < 0)
		return q.fd;
	ret = camera_set_format(&q, CAMERA_YUYV, CAMERA_SIZES - 1);

	return ret ? ret : get_path(q.fd, life->node, sizeof(life->node));
}

/* Let any allocation fail, even if it may sleep, and do not log failures. */
static bool set_up_faults(void)
{
	return write_file(FAULTS "failslab/ignore-gfp-wait", "N") &&
	       write_file(FAULTS "failslab/verbose", "0") &&
	       write_file(FAULTS "fail_page_alloc/ignore-gfp-wait", "N") &&
	       write_file(FAULTS "fail_page_alloc/ignore-gfp-highmem", "N") &&
	       write_file(FAULTS "fail_page_alloc/min-order", "0") &&
	       write_file(FAULTS "fail_page_alloc/verbose", "0");
}

FIXTURE_SETUP(life)
{
	struct life *life = &self->life;
	int ret;

	if (!set_up_faults())
		SKIP(return, "no fault injection");
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->nth, 0);

	life->streams = variant->streams;
	memcpy(life->pixelformat, variant->pixelformat,
	       sizeof(life->pixelformat));
	ret = find_exporter(life, variant->exporter);
	if (!ret && variant->display)
		ret = get_path(drm_open(variant->display), life->node,
			       sizeof(life->node));
	else if (!ret && variant->node)
		ret = get_path(vivid_open(variant->node), life->node,
			       sizeof(life->node));
	else if (!ret && variant->usb)
		ret = find_usb_camera(life);
	else if (!ret)
		ret = find_camera(life, variant->allocator);
	if (ret == -ENODEV)
		SKIP(return, "no such exporter or driver");
	ASSERT_EQ(0, ret);
}

FIXTURE_TEARDOWN(life)
{
	camera_unplug(&self->life.camera);
	close(self->nth);
}

/* Returns how many allocations were left to go, so 0 if one has failed. */
static int live_nth(struct __test_metadata *_metadata, int nth, int n,
		    bool (*live)(struct life *life), struct life *life)
{
	char text[16] = "";

	snprintf(text, sizeof(text), "%d", n);
	life->steps = 0;
	life->nth = nth;
	ASSERT_EQ(strlen(text), pwrite(nth, text, strlen(text), 0));
	live(life);
	end(life);
	ASSERT_LT(0, pread(nth, text, sizeof(text) - 1, 0));
	ASSERT_EQ(1, pwrite(nth, "0", 1, 0));

	return atoi(text);
}

/* shmem returns ENOSPC; ENOBUFS: fewer buffers than requested. */
static bool may_be(struct life *life)
{
	int error = life->error;

	/* uvcvideo returns EIO for a failed control request */
	if (life->camera.pid && error == -EIO)
		return true;

	return !error || error == -ENOMEM || error == -ENOSPC ||
	       error == -ENOBUFS;
}

/* Returns how many dma-bufs there are, or -errno. */
static int count_dmabufs(void)
{
	int count = -ENOENT;
	char line[256];
	FILE *bufinfo;

	bufinfo = fopen(DMABUF_INFO, "r");
	if (!bufinfo)
		return -errno;

	while (fgets(line, sizeof(line), bufinfo))
		sscanf(line, "Total %d objects", &count);
	fclose(bufinfo);

	return count;
}

TEST_F_TIMEOUT(life, fail_nth, 300)
{
	struct life *life = &self->life;
	int before, n, errors = 0;

	/* works without faults, and creates whatever is created only once */
	live_nth(_metadata, self->nth, 0, variant->live, life);
	ASSERT_EQ(0, life->error) {
		TH_LOG("step %d", life->steps);
	}
	before = count_dmabufs();
	ASSERT_LE(0, before);
	for (n = 1; !live_nth(_metadata, self->nth, n, variant->live, life);
	     n++) {
		errors += life->error != 0;
		EXPECT_TRUE(may_be(life)) {
			TH_LOG("allocation %d: error %d in step %d", n,
			       -life->error, life->steps);
		}
	}
	EXPECT_EQ(0, life->error);
	EXPECT_LT(0, errors);
	TH_LOG("%d allocations, %d errors", n - 1, errors);
	/* a worker may have to release what is left */
	while (count_dmabufs() > before)
		sched_yield();
}

TEST_HARNESS_MAIN
