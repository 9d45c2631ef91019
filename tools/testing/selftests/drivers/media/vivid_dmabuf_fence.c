// SPDX-License-Identifier: GPL-2.0
/*
 * Whether drivers that access their buffers with the CPU leave the fences of
 * imported dma-bufs alone, as V4L2 has no way to tell user space of a wait.
 *
 * Some of the buffers have a fence that is never signaled. They are queued and
 * filled all the same, and whatever ends that returns. What does not is ended
 * with the test, after its time: the fence belongs to a process that ends, too.
 *
 * Needs root, debugfs and sw_sync. The first instance of vivid that has the
 * allocator and the single-planar API is the one that is tested:
 *
 *	modprobe vivid n_devs=3 allocators=0,1,2
 *	modprobe vimc
 */

#include <linux/media-bus-format.h>
#include <linux/v4l2-subdev.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "vivid.h"

#define SW_SYNC		"/sys/kernel/debug/sync/sw_sync"
#define ALLOCATORS	"/sys/module/vivid/parameters/allocators"

#define VIMC_SENSOR	"Sensor B"
#define VIMC_NODE	"Raw Capture 1"

struct sw_sync_create_fence_data {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_IOC_CREATE_FENCE \
	_IOWR('W', 0, struct sw_sync_create_fence_data)

/* One chunk of the system heap: with a hole in it dma-contig refuses it. */
#define SIDE		128

/* The one format that all of vimc agrees on from the beginning */
#define VIMC_WIDTH	640
#define VIMC_HEIGHT	480

#define ROUNDS		200

/* An output of vivid keeps the last buffer, so the idle one comes last. */
enum { WRITTEN, READ, IDLE, COUNT };

enum { VMALLOC, DMA_CONTIG, DMA_SG, VIMC };

FIXTURE(fence)
{
	struct vivid_queue q;
	pid_t device;
};

FIXTURE_VARIANT(fence)
{
	unsigned int allocator;
	enum v4l2_buf_type type;
	size_t size;
};

FIXTURE_VARIANT_ADD(fence, vmalloc_capture) {
	.allocator = VMALLOC,
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.size = SIDE * SIDE * 4,
};

FIXTURE_VARIANT_ADD(fence, vmalloc_output) {
	.allocator = VMALLOC,
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.size = SIDE * SIDE * 4,
};

FIXTURE_VARIANT_ADD(fence, dma_contig_capture) {
	.allocator = DMA_CONTIG,
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.size = SIDE * SIDE * 4,
};

FIXTURE_VARIANT_ADD(fence, dma_contig_output) {
	.allocator = DMA_CONTIG,
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.size = SIDE * SIDE * 4,
};

FIXTURE_VARIANT_ADD(fence, dma_sg_capture) {
	.allocator = DMA_SG,
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.size = SIDE * SIDE * 4,
};

FIXTURE_VARIANT_ADD(fence, dma_sg_output) {
	.allocator = DMA_SG,
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.size = SIDE * SIDE * 4,
};

FIXTURE_VARIANT_ADD(fence, vimc) {
	.allocator = VIMC,
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.size = VIMC_WIDTH * VIMC_HEIGHT,
};

/* A device that is about to write to one dma-buf and to read another one */
static int attach_fence(const int *dmabuf)
{
	struct sw_sync_create_fence_data fence = { .value = 1 };
	struct dma_buf_import_sync_file import = { };
	int timeline, ret;

	timeline = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	if (timeline < 0)
		return -errno;

	ret = v4l2_ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &fence);
	if (ret)
		return ret;

	import.fd = fence.fence;
	import.flags = DMA_BUF_SYNC_WRITE;
	ret = v4l2_ioctl(dmabuf[WRITTEN], DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
			 &import);
	if (ret)
		return ret;

	import.flags = DMA_BUF_SYNC_READ;

	return v4l2_ioctl(dmabuf[READ], DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
			  &import);
}

/*
 * Such a device, in a process of its own: the fence stays until that ends, and
 * if the test hangs it is killed together with it. Returns its pid, or -errno.
 */
static pid_t start_device(const int *dmabuf)
{
	int fds[2], ret = -EIO;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;

	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ret = attach_fence(dmabuf);
		if (write(fds[1], &ret, sizeof(ret)) != sizeof(ret) || ret)
			_exit(1);
		for (;;)
			pause();
	}

	close(fds[1]);
	if (read(fds[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = -EIO;
	close(fds[0]);
	if (!ret)
		return pid;
	waitpid(pid, NULL, 0);

	return ret;
}

static bool is_pending(int dmabuf)
{
	struct pollfd pollfd = { .fd = dmabuf, .events = POLLOUT };

	return !poll(&pollfd, 1, 0);
}

static bool are_pending(const struct vivid_queue *q)
{
	return is_pending(q->dmabuf[WRITTEN]) && is_pending(q->dmabuf[READ]);
}

static bool is_single_planar(int fd)
{
	struct v4l2_capability cap = { };

	return !v4l2_ioctl(fd, VIDIOC_QUERYCAP, &cap) &&
	       cap.device_caps & (V4L2_CAP_VIDEO_CAPTURE |
				  V4L2_CAP_VIDEO_OUTPUT);
}

/* Opens the node of the first instance that fits, or returns -errno. */
static int open_allocator(unsigned int allocator, enum v4l2_buf_type type)
{
	const char *node = type == V4L2_BUF_TYPE_VIDEO_CAPTURE ? "cap" : "out";
	char text[512] = "", name[32], *next = text;
	int instance, fd = -ENODEV;
	FILE *file;

	file = fopen(ALLOCATORS, "r");
	if (!file)
		return fd;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);

	for (instance = 0; fd < 0 && *next; instance++) {
		if (strtoul(next, &next, 10) == allocator) {
			snprintf(name, sizeof(name), "vivid-%03d-vid-%s",
				 instance, node);
			fd = vivid_open(name);
			if (fd >= 0 && !is_single_planar(fd)) {
				close(fd);
				fd = -ENODEV;
			}
		}
		if (*next++ != ',')
			break;
	}

	return fd;
}

static int open_vivid(struct vivid_queue *q, unsigned int allocator)
{
	int ret;

	q->fd = open_allocator(allocator, q->type);
	if (q->fd < 0)
		return q->fd;

	if (q->type == V4L2_BUF_TYPE_VIDEO_CAPTURE)
		ret = vivid_set_input(q->fd, "HDMI");
	else
		ret = vivid_set_output(q->fd, "HDMI");
	if (!ret)
		ret = vivid_set_timings(q->fd);

	return ret ? ret : vivid_set_format(q->fd, q->type, SIDE, SIDE);
}

static int open_vimc(struct vivid_queue *q)
{
	struct v4l2_subdev_format format = {
		.which = V4L2_SUBDEV_FORMAT_ACTIVE,
		.format = {
			.width = VIMC_WIDTH,
			.height = VIMC_HEIGHT,
			.code = MEDIA_BUS_FMT_SRGGB8_1X8,
			.field = V4L2_FIELD_NONE,
			.colorspace = V4L2_COLORSPACE_SRGB,
		},
	};
	int fd, ret;

	q->fd = vivid_open(VIMC_NODE);
	if (q->fd < 0)
		return q->fd;

	fd = vivid_open(VIMC_SENSOR);
	if (fd < 0)
		return fd;
	ret = v4l2_ioctl(fd, VIDIOC_SUBDEV_S_FMT, &format);
	close(fd);

	return ret ? ret : vivid_set_pix(q, V4L2_PIX_FMT_SRGGB8, VIMC_WIDTH,
					 VIMC_HEIGHT);
}

/* Opens the node as q->fd, whose other members stay. */
static int open_queue(struct vivid_queue *q, unsigned int allocator)
{
	return allocator == VIMC ? open_vimc(q) : open_vivid(q, allocator);
}

static int prepare(struct vivid_queue *q, unsigned int index)
{
	bool output = q->type == V4L2_BUF_TYPE_VIDEO_OUTPUT;
	struct v4l2_buffer buf = {
		.index = index,
		.type = q->type,
		.memory = q->memory,
		.field = V4L2_FIELD_NONE,
		.length = q->size,
		.bytesused = output ? q->size : 0,
		.m.fd = q->dmabuf[index],
	};

	return v4l2_ioctl(q->fd, VIDIOC_PREPARE_BUF, &buf);
}

static int queue_all(struct vivid_queue *q)
{
	int i, ret;

	for (i = 0; i < COUNT; i++) {
		ret = vivid_qbuf(q, i);
		if (ret)
			return ret;
	}

	return 0;
}

/* Streams with what is imported, without an end, and tells of each frame. */
static int stream(struct vivid_queue *q, unsigned int allocator, int tell)
{
	int i, ret;

	ret = open_queue(q, allocator);
	if (!ret)
		ret = vivid_reqbufs(q, COUNT);
	if (!ret)
		ret = queue_all(q);
	if (!ret)
		ret = vivid_streamon(q);
	while (!ret) {
		i = vivid_dqbuf(q);
		if (i < 0)
			return i;
		if (write(tell, "", 1) != 1)
			return -errno;
		ret = vivid_qbuf(q, i);
	}

	return ret;
}

/* Streams with buffers of the device. */
static int stream_own(struct vivid_queue *q, unsigned int allocator)
{
	int ret;

	ret = open_queue(q, allocator);
	if (!ret)
		ret = vivid_alloc_mmap(q, COUNT);
	if (!ret)
		ret = queue_all(q);
	if (!ret)
		ret = vivid_streamon(q);
	if (ret)
		return ret;
	ret = vivid_dqbuf(q);

	return ret < 0 ? ret : vivid_streamoff(q);
}

/* What a process returned, or -ECANCELED if it was killed */
static int finish(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;

	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

/* Whether another process has the device for itself, 0 or -errno */
static int use_elsewhere(const struct vivid_queue *q, unsigned int allocator)
{
	struct vivid_queue other = { .type = q->type };
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(-stream_own(&other, allocator));

	return finish(pid);
}

/* Sets the first control that is a number to its default. */
static int set_control(int fd)
{
	struct v4l2_queryctrl query = { .id = V4L2_CTRL_FLAG_NEXT_CTRL };
	struct v4l2_control ctrl = { };
	int ret;

	do {
		ret = v4l2_ioctl(fd, VIDIOC_QUERYCTRL, &query);
		if (ret)
			return ret;
		ctrl.id = query.id;
		ctrl.value = query.default_value;
		query.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
	} while (query.type != V4L2_CTRL_TYPE_BOOLEAN &&
		 query.type != V4L2_CTRL_TYPE_INTEGER);

	return v4l2_ioctl(fd, VIDIOC_S_CTRL, &ctrl);
}

/* What anybody may do with a node whose queue is somebody else's */
static int use_shared(const struct vivid_queue *q, unsigned int allocator)
{
	struct v4l2_format format = { .type = q->type };
	struct v4l2_capability cap = { };
	int fd, i, ret;

	/* a file of its own, without what open_queue() sets */
	if (allocator == VIMC)
		fd = vivid_open(VIMC_NODE);
	else
		fd = open_allocator(allocator, q->type);
	if (fd < 0)
		return fd;

	for (i = 0, ret = 0; !ret && i < ROUNDS; i++) {
		ret = v4l2_ioctl(fd, VIDIOC_QUERYCAP, &cap);
		if (!ret)
			ret = v4l2_ioctl(fd, VIDIOC_G_FMT, &format);
		/* vimc has its controls elsewhere */
		if (!ret && allocator != VIMC)
			ret = set_control(fd);
	}
	close(fd);

	return ret;
}

/* New dma-bufs, with bytes that no picture has */
static int alloc_dmabufs(struct vivid_queue *q)
{
	void *mem;
	int i, ret;

	for (i = 0; i < COUNT; i++) {
		q->dmabuf[i] = system_heap_alloc(q->size);
		if (q->dmabuf[i] < 0)
			return q->dmabuf[i];
		mem = mmap(NULL, q->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   q->dmabuf[i], 0);
		if (mem == MAP_FAILED)
			return -errno;
		q->mem[i] = mem;
		ret = vivid_poison(q, i);
		if (ret)
			return ret;
	}

	return 0;
}

/* allocators=2 means vmalloc to older kernels, which makes no attachment. */
static bool is_attached_for_dma(struct vivid_queue *q)
{
	int n, cpu_only;

	if (vivid_qbuf(q, IDLE))
		return false;
	n = dmabuf_attachments(q->dmabuf[IDLE], &cpu_only);

	return !vivid_streamoff(q) && n > cpu_only;
}

/* The process with the fence is not to have the node open. */
FIXTURE_SETUP(fence)
{
	struct vivid_queue *q = &self->q;
	int ret;

	memset(self, 0, sizeof(*self));
	q->fd = -1;
	q->type = variant->type;
	q->memory = V4L2_MEMORY_DMABUF;
	q->size = variant->size;
	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");

	ret = alloc_dmabufs(q);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	self->device = start_device(q->dmabuf);
	ASSERT_GT(self->device, 0);
	ASSERT_TRUE(are_pending(q));
	ASSERT_FALSE(is_pending(q->dmabuf[IDLE]));

	ret = open_queue(q, variant->allocator);
	if (ret == -ENODEV && variant->allocator == VIMC)
		SKIP(return, "no vimc");
	if (ret == -ENODEV)
		SKIP(return, "no vivid with allocators=%u", variant->allocator);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vivid_reqbufs(q, COUNT));
	if (variant->allocator == DMA_SG && !is_attached_for_dma(q))
		SKIP(return, "vivid does not know allocators=2");
}

/* All that has been done with the fence pending. */
FIXTURE_TEARDOWN(fence)
{
	struct vivid_queue *q = &self->q;

	if (q->fd >= 0)
		close(q->fd);
	if (self->device <= 0)
		return;
	EXPECT_TRUE(are_pending(q));
	kill(self->device, SIGKILL);
	EXPECT_EQ(-ECANCELED, finish(self->device));
	EXPECT_FALSE(is_pending(q->dmabuf[WRITTEN]));
	EXPECT_FALSE(is_pending(q->dmabuf[READ]));
}

static bool is_poison(const uint8_t *mem, size_t size)
{
	return mem[0] == POISON && !memcmp(mem, mem + 1, size - 1);
}

/* Buffers are filled, or shown, whatever a device is about to do with them. */
TEST_F_TIMEOUT(fence, frames, 30)
{
	struct vivid_queue *q = &self->q;
	int i;

	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	for (i = WRITTEN; i <= READ; i++) {
		ASSERT_EQ(i, vivid_dqbuf(q));
		if (q->type == V4L2_BUF_TYPE_VIDEO_CAPTURE)
			EXPECT_FALSE(is_poison(q->mem[i], q->size));
	}
	EXPECT_EQ(0, vivid_streamoff(q));
}

TEST_F_TIMEOUT(fence, prepare_buf, 30)
{
	struct vivid_queue *q = &self->q;
	int i;

	for (i = WRITTEN; i <= READ; i++)
		ASSERT_EQ(0, prepare(q, i));
	ASSERT_EQ(0, queue_all(q));
	EXPECT_EQ(0, vivid_streamoff(q));
}

TEST_F_TIMEOUT(fence, streamoff, 30)
{
	struct vivid_queue *q = &self->q;

	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_reqbufs(q, 0));
	EXPECT_EQ(0, use_elsewhere(q, variant->allocator));
}

TEST_F_TIMEOUT(fence, close, 30)
{
	struct vivid_queue *q = &self->q;

	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, close(q->fd));
	q->fd = -1;
	EXPECT_EQ(0, use_elsewhere(q, variant->allocator));
}

TEST_F_TIMEOUT(fence, kill, 30)
{
	struct vivid_queue *q = &self->q;
	int i, fds[2];
	char byte;
	pid_t pid;

	close(q->fd);
	q->fd = -1;
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(-stream(q, variant->allocator, fds[1]));

	/* end of file if it has returned */
	close(fds[1]);
	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(1, read(fds[0], &byte, 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-ECANCELED, finish(pid));
	close(fds[0]);
	EXPECT_EQ(0, use_elsewhere(q, variant->allocator));
}

TEST_F_TIMEOUT(fence, rounds, 60)
{
	struct vivid_queue *q = &self->q;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, queue_all(q));
		ASSERT_EQ(0, vivid_streamoff(q));
	}
}

/* A file descriptor that stands for one dma-buf and then for another */
struct swap {
	struct vivid_queue q;
	int fd;
	int dmabuf[2];
	bool stop;
	int ret;
};

static void *swap_dmabufs(void *arg)
{
	struct swap *swap = arg;
	unsigned int i;

	for (i = 0; !__atomic_load_n(&swap->stop, __ATOMIC_RELAXED); i++)
		dup3(swap->dmabuf[i % 2], swap->fd, O_CLOEXEC);

	return NULL;
}

static void *queue_swapped(void *arg)
{
	struct swap *swap = arg;
	int i;

	for (i = 0; !swap->ret && i < ROUNDS; i++) {
		swap->ret = vivid_qbuf(&swap->q, WRITTEN);
		if (!swap->ret)
			swap->ret = vivid_streamoff(&swap->q);
	}

	return NULL;
}

/*
 * QBUF cannot look at the fences first and take the lock of the queue then: by
 * then it may be another dma-buf. Whoever needs that lock is not to find out.
 */
TEST_F_TIMEOUT(fence, swapped, 60)
{
	struct vivid_queue *q = &self->q;
	pthread_t swapper, queuer;
	struct swap swap = {
		.q = *q,
		.dmabuf = { q->dmabuf[IDLE], q->dmabuf[WRITTEN] },
	};
	pid_t pid;

	swap.fd = dup(q->dmabuf[IDLE]);
	ASSERT_GE(swap.fd, 0);
	swap.q.dmabuf[WRITTEN] = swap.fd;
	ASSERT_EQ(0, pthread_create(&swapper, NULL, swap_dmabufs, &swap));
	ASSERT_EQ(0, pthread_create(&queuer, NULL, queue_swapped, &swap));

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(-use_shared(q, variant->allocator));
	EXPECT_EQ(0, finish(pid));

	ASSERT_EQ(0, pthread_join(queuer, NULL));
	EXPECT_EQ(0, swap.ret);
	__atomic_store_n(&swap.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(swapper, NULL));
	close(swap.fd);
}

TEST_HARNESS_MAIN
