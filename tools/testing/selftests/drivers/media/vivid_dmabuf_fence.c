// SPDX-License-Identifier: GPL-2.0
/*
 * Whether drivers that access their buffers with the CPU get imported dma-bufs
 * only when their fences have signalled, and nobody is kept waiting for that.
 *
 * A fence holds back the buffer, and those that are queued behind it, but not
 * the caller. So whatever ends the streaming returns although a fence never
 * signals. What does not is ended with the test, after its time: the fences
 * belong to a process that ends, too.
 *
 * That something has not happened shows when something else has: a frame of a
 * queue that the same thread of the driver serves. What a driver accesses too
 * early shows in the data: it is written while the buffer is held back, as the
 * device with the fence would do.
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
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "dmabuf_fence.h"
#include "vivid.h"

/* One chunk of the system heap: with a hole in it dma-contig refuses it. */
#define CHUNK		65536

/* An output of vivid that fills such a chunk, with 32 bits per pixel */
#define SIDE		128

/* A webcam of vivid, the one kind of input with metadata: 8 bits per pixel */
#define WEBCAM_WIDTH	320
#define WEBCAM_HEIGHT	180
#define WEBCAM_RATE	60

/* The one format that all of vimc agrees on from the beginning */
#define VIMC_WIDTH	640
#define VIMC_HEIGHT	480

#define ROUNDS		200

static void clear_nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static int queue_buffers(struct vivid_queue *q, const int *order, int count)
{
	int i, ret;

	for (i = 0; i < count; i++) {
		ret = vivid_qbuf(q, order[i]);
		if (ret)
			return ret;
	}

	return 0;
}

/* An output of vivid keeps the last buffer, so an idle one comes last. */
enum { WRITTEN, READ, IDLE, LAST, COUNT };

enum { VMALLOC, DMA_CONTIG, DMA_SG, VIMC };

static const int all[] = { WRITTEN, READ, IDLE, LAST };

static int queue_all(struct vivid_queue *q)
{
	return queue_buffers(q, all, COUNT);
}

/* Buffers come in this order; an output keeps the last one. */
static void expect_frames(struct __test_metadata *_metadata,
			  struct vivid_queue *q, const int *order, int count)
{
	int i;

	if (V4L2_TYPE_IS_OUTPUT(q->type))
		count--;
	for (i = 0; i < count; i++) {
		ASSERT_EQ(order[i], dequeue(q));
		if (!V4L2_TYPE_IS_OUTPUT(q->type))
			EXPECT_FALSE(is_poison(q->mem[order[i]], q->size));
	}
}

FIXTURE(fence)
{
	struct vivid_queue q;
	struct device device;
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
	.size = CHUNK,
};

FIXTURE_VARIANT_ADD(fence, vmalloc_output) {
	.allocator = VMALLOC,
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.size = CHUNK,
};

FIXTURE_VARIANT_ADD(fence, dma_contig_output) {
	.allocator = DMA_CONTIG,
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.size = CHUNK,
};

FIXTURE_VARIANT_ADD(fence, dma_sg_capture) {
	.allocator = DMA_SG,
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.size = CHUNK,
};

FIXTURE_VARIANT_ADD(fence, vimc) {
	.allocator = VIMC,
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.size = VIMC_WIDTH * VIMC_HEIGHT,
};

static int open_webcam(struct vivid_queue *q)
{
	int ret;

	ret = vivid_set_input(q->fd, "Webcam");
	if (!ret)
		ret = vivid_set_pix(q, V4L2_PIX_FMT_GREY, WEBCAM_WIDTH,
				    WEBCAM_HEIGHT);

	return ret ? ret : vivid_set_rate(q->fd, WEBCAM_RATE);
}

static int open_node(const struct vivid_queue *q, unsigned int allocator)
{
	bool output = V4L2_TYPE_IS_OUTPUT(q->type);

	return vivid_open_allocator(allocator, output ? "vid-out" : "vid-cap");
}

static int open_vivid(struct vivid_queue *q, unsigned int allocator)
{
	bool output = V4L2_TYPE_IS_OUTPUT(q->type);
	int fd, ret;

	q->fd = open_node(q, allocator);
	if (q->fd < 0)
		return q->fd;
	if (!output)
		return open_webcam(q);

	/* there is metadata only while the input is a webcam */
	fd = vivid_open_allocator(allocator, "vid-cap");
	if (fd < 0)
		return fd;
	ret = vivid_set_input(fd, "Webcam");
	close(fd);
	if (!ret)
		ret = vivid_set_output(q->fd, "HDMI");
	if (!ret)
		ret = vivid_set_timings(q->fd);

	return ret ? ret : vivid_set_format(q->fd, q->type, SIDE, SIDE);
}

/* There are two of them, and each has its own sensor. */
static int open_vimc(struct vivid_queue *q, const char *sensor,
		     const char *node)
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

	q->fd = vivid_open(node);
	if (q->fd < 0)
		return q->fd;

	fd = vivid_open(sensor);
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
	return allocator == VIMC ? open_vimc(q, "Sensor B", "Raw Capture 1") :
				   open_vivid(q, allocator);
}

/* Metadata output sets controls of the input, so fill in their values. */
static int fill_metadata(struct vivid_queue *q, unsigned int allocator)
{
	static const uint32_t ids[] = {
		V4L2_CID_BRIGHTNESS, V4L2_CID_CONTRAST, V4L2_CID_SATURATION,
		V4L2_CID_HUE,
	};
	struct v4l2_control ctrl = { };
	unsigned int i, j;
	uint16_t *mem;
	int fd, ret = 0;

	fd = vivid_open_allocator(allocator, "vid-cap");
	if (fd < 0)
		return fd;
	for (i = 0; !ret && i < 4; i++) {
		ctrl.id = ids[i];
		ret = v4l2_ioctl(fd, VIDIOC_G_CTRL, &ctrl);
		for (j = 0; j < q->count; j++) {
			mem = q->mem[j];
			mem[i] = ctrl.value;
		}
	}
	close(fd);

	return ret;
}

/*
 * Waits until the driver would have come to a buffer that it has since before
 * this call: the thread of vivid that serves the queue serves its metadata,
 * too, and a second frame of that comes after a whole turn for video. With vimc
 * it is the other camera, as fast as this one, so what is wrong may not show.
 */
static int wait_for_driver(const struct vivid_queue *q, unsigned int allocator)
{
	static const int both[] = { 0, 1 };
	bool output = V4L2_TYPE_IS_OUTPUT(q->type);
	struct vivid_queue other = { .type = q->type };
	unsigned int i;
	int ret = 0;

	if (allocator == VIMC) {
		ret = open_vimc(&other, "Sensor A", "Raw Capture 0");
	} else {
		other.type = output ? V4L2_BUF_TYPE_META_OUTPUT :
				      V4L2_BUF_TYPE_META_CAPTURE;
		other.fd = vivid_open_allocator(allocator, output ?
						"meta-out" : "meta-cap");
	}
	if (other.fd < 0)
		return other.fd;

	if (!ret)
		ret = vivid_alloc_mmap(&other, 2);
	if (!ret && output)
		ret = fill_metadata(&other, allocator);
	for (i = 0; !ret && i < 2; i++)
		ret = vivid_qbuf_len(&other, both[i], other.size,
				     output ? other.size : 0);
	if (!ret)
		ret = vivid_streamon(&other);
	for (i = 0; !ret && i < 2; i++)
		ret = dequeue(&other) == both[i] ? 0 : -EIO;
	for (i = 0; i < other.count; i++)
		munmap(other.mem[i], other.size);
	close(other.fd);

	return ret;
}

static int prepare(struct vivid_queue *q, unsigned int index)
{
	struct v4l2_buffer buf = {
		.index = index,
		.type = q->type,
		.memory = q->memory,
		.field = V4L2_FIELD_NONE,
		.length = q->size,
		.bytesused = V4L2_TYPE_IS_OUTPUT(q->type) ? q->size : 0,
		.m.fd = q->dmabuf[index],
	};

	return v4l2_ioctl(q->fd, VIDIOC_PREPARE_BUF, &buf);
}

/* Streams with what is imported and waits for a frame that does not come. */
static int stream(struct vivid_queue *q, unsigned int allocator, int fd)
{
	int ret;

	ret = open_queue(q, allocator);
	if (ret)
		return ret;
	clear_nonblock(q->fd);
	ret = vivid_reqbufs(q, COUNT);
	if (!ret)
		ret = queue_all(q);
	if (!ret)
		ret = vivid_streamon(q);
	if (ret)
		return ret;
	if (write(fd, "", 1) != 1)
		return -errno;
	ret = take(q);

	return ret < 0 ? ret : -EEXIST;
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
	ret = dequeue(q);

	return ret < 0 ? ret : vivid_streamoff(q);
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

/* What may be done with a node while another file owns the queue */
static int use_shared(const struct vivid_queue *q, unsigned int allocator)
{
	struct v4l2_format format = { .type = q->type };
	struct v4l2_capability cap = { };
	struct vivid_queue other = *q;
	int i, ret = 0;
	void *mem;

	/* a file of its own, without what open_queue() sets */
	if (allocator == VIMC)
		other.fd = vivid_open("Raw Capture 1");
	else
		other.fd = open_node(q, allocator);
	if (other.fd < 0)
		return other.fd;

	for (i = 0; !ret && i < ROUNDS; i++) {
		ret = v4l2_ioctl(other.fd, VIDIOC_QUERYCAP, &cap);
		if (!ret)
			ret = v4l2_ioctl(other.fd, VIDIOC_G_FMT, &format);
		/* vimc has its controls elsewhere */
		if (!ret && allocator != VIMC)
			ret = set_control(other.fd);
		if (!ret && buffer_state(&other, WRITTEN) < 0)
			ret = -EIO;
		if (poll_queue(&other, 0) < 0)
			ret = -errno;
		/* refused, as the buffers are dma-bufs */
		mem = mmap(NULL, q->size, PROT_READ, MAP_SHARED, other.fd, 0);
		if (mem != MAP_FAILED)
			ret = -EEXIST;
	}
	close(other.fd);

	return ret;
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

/* The process with the fences must not have the node open. */
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

	ret = alloc_dmabufs(q, COUNT);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, start_device(&self->device));
	ASSERT_EQ(0, attach_writer(&self->device, FIRST, q->dmabuf[WRITTEN]));
	ASSERT_EQ(0, attach_reader(&self->device, FIRST, q->dmabuf[READ]));
	ASSERT_TRUE(is_pending(q->dmabuf[WRITTEN]));
	ASSERT_TRUE(is_pending(q->dmabuf[READ]));
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

/* The fences have been pending all the time, unless the test signalled them. */
FIXTURE_TEARDOWN(fence)
{
	struct vivid_queue *q = &self->q;

	if (q->fd >= 0)
		close(q->fd);
	if (self->device.pid <= 0)
		return;
	if (!self->device.signalled) {
		EXPECT_TRUE(is_pending(q->dmabuf[WRITTEN]));
		EXPECT_TRUE(is_pending(q->dmabuf[READ]));
	}
	EXPECT_EQ(-ECANCELED, stop_device(&self->device));
	EXPECT_FALSE(is_pending(q->dmabuf[WRITTEN]));
	EXPECT_FALSE(is_pending(q->dmabuf[READ]));
}

/* Nothing is filled, not even what is idle, until the fences have signalled. */
TEST_F_TIMEOUT(fence, frames, 60)
{
	struct vivid_queue *q = &self->q;
	int i;

	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	for (i = 0; i < COUNT; i++) {
		EXPECT_TRUE(is_poison(q->mem[i], q->size));
		expect_held(_metadata, q, i);
	}
	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	expect_frames(_metadata, q, all, COUNT);
	EXPECT_EQ(0, vivid_streamoff(q));
	for (i = 0; i < COUNT; i++)
		EXPECT_EQ(0, buffer_state(q, i));
}

/* Fences that signal in the wrong order do not change that of the buffers. */
TEST_F_TIMEOUT(fence, order, 60)
{
	static const int order[] = { WRITTEN, IDLE, LAST };
	struct vivid_queue *q = &self->q;
	int i;

	ASSERT_EQ(0, attach_writer(&self->device, SECOND, q->dmabuf[IDLE]));
	ASSERT_EQ(0, attach_writer(&self->device, THIRD, q->dmabuf[LAST]));
	ASSERT_EQ(0, queue_buffers(q, order, 3));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, signal_fences(&self->device, THIRD));
	ASSERT_EQ(0, signal_fences(&self->device, SECOND));
	ASSERT_FALSE(is_pending(q->dmabuf[IDLE]));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	for (i = 0; i < 3; i++)
		expect_held(_metadata, q, order[i]);
	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	expect_frames(_metadata, q, order, 3);
	EXPECT_EQ(0, vivid_streamoff(q));
}

/* A device that fails is done with the buffer, too. */
TEST_F_TIMEOUT(fence, error, 60)
{
	struct vivid_queue *q = &self->q;

	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	expect_held(_metadata, q, WRITTEN);
	ASSERT_EQ(0, tell(&self->device, FAIL, FIRST, -1, 0));
	expect_frames(_metadata, q, all, COUNT);
	EXPECT_EQ(0, vivid_streamoff(q));
}

/* What is prepared while fences are pending waits for them when queued. */
TEST_F_TIMEOUT(fence, prepare_buf, 60)
{
	struct vivid_queue *q = &self->q;
	int i;

	for (i = 0; i < COUNT; i++) {
		ASSERT_EQ(0, prepare(q, i));
		EXPECT_EQ(V4L2_BUF_FLAG_PREPARED, buffer_state(q, i));
	}
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	for (i = 0; i < COUNT; i++)
		expect_held(_metadata, q, i);
	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	expect_frames(_metadata, q, all, COUNT);
	EXPECT_EQ(0, vivid_streamoff(q));
}

TEST_F_TIMEOUT(fence, streamon_first, 60)
{
	struct vivid_queue *q = &self->q;
	int i;

	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	for (i = 0; i < COUNT; i++)
		expect_held(_metadata, q, i);
	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	expect_frames(_metadata, q, all, COUNT);
	EXPECT_EQ(0, vivid_streamoff(q));
}

/* A fence may be added while the buffer is held back. */
TEST_F_TIMEOUT(fence, added, 60)
{
	static const int order[] = { WRITTEN, LAST };
	struct vivid_queue *q = &self->q;

	ASSERT_EQ(0, queue_buffers(q, order, 2));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, attach_writer(&self->device, SECOND, q->dmabuf[WRITTEN]));
	ASSERT_EQ(0, attach_writer(&self->device, THIRD, q->dmabuf[LAST]));
	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	expect_held(_metadata, q, WRITTEN);
	ASSERT_EQ(0, signal_fences(&self->device, SECOND));
	if (variant->type == V4L2_BUF_TYPE_VIDEO_CAPTURE)
		expect_frames(_metadata, q, order, 1);
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	expect_held(_metadata, q, LAST);
	ASSERT_EQ(0, signal_fences(&self->device, THIRD));
	if (variant->type == V4L2_BUF_TYPE_VIDEO_CAPTURE)
		expect_frames(_metadata, q, order + 1, 1);
	else
		expect_frames(_metadata, q, order, 2);
	EXPECT_EQ(0, vivid_streamoff(q));
}

/* A thread that waits in DQBUF */
struct taker {
	struct vivid_queue *q;
	pid_t tid;
	int ret;
};

static void *take_one(void *arg)
{
	struct taker *taker = arg;

	__atomic_store_n(&taker->tid, gettid(), __ATOMIC_RELEASE);
	taker->ret = take(taker->q);

	return NULL;
}

/* Waits until the thread sleeps, which it does in DQBUF only. */
static bool wait_for_taker(struct taker *taker)
{
	char path[64], state = '\0';
	FILE *file;
	pid_t tid;

	do {
		sched_yield();
		tid = __atomic_load_n(&taker->tid, __ATOMIC_ACQUIRE);
		if (!tid)
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
		file = fopen(path, "r");
		if (!file)
			return false;
		if (fscanf(file, "%*d %*s %c", &state) != 1)
			state = 'X';
		fclose(file);
	} while (state != 'S');

	return true;
}

TEST_F_TIMEOUT(fence, blocking_streamoff, 60)
{
	struct taker taker = { .q = &self->q };
	struct vivid_queue *q = &self->q;
	pthread_t thread;

	clear_nonblock(q->fd);
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, pthread_create(&thread, NULL, take_one, &taker));
	ASSERT_TRUE(wait_for_taker(&taker));
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EINVAL, taker.ret);
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
	int fds[2];
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
	ASSERT_EQ(1, read(fds[0], &byte, 1));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(-ECANCELED, finish(pid));
	close(fds[0]);
	EXPECT_EQ(0, use_elsewhere(q, variant->allocator));
}

/* Other users of the node do not notice. */
TEST_F_TIMEOUT(fence, shared, 60)
{
	struct vivid_queue *q = &self->q;
	pid_t pid;
	int i;

	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(-use_shared(q, variant->allocator));
	EXPECT_EQ(0, finish(pid));
	expect_nothing(_metadata, q);
	for (i = 0; i < COUNT; i++)
		expect_held(_metadata, q, i);
	EXPECT_EQ(0, vivid_streamoff(q));
}

/* The fence signals while the buffer that waits for it is taken back. */
TEST_F_TIMEOUT(fence, race, 120)
{
	static const int order[] = { IDLE, LAST };
	struct vivid_queue *q = &self->q;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, attach_writer(&self->device, SECOND,
					   q->dmabuf[IDLE]));
		ASSERT_EQ(0, queue_buffers(q, order, 2));
		if (i % 2)
			ASSERT_EQ(0, vivid_streamon(q));
		ASSERT_EQ(0, ask(&self->device, SIGNAL, SECOND, -1, 0));
		ASSERT_EQ(0, vivid_streamoff(q));
		ASSERT_EQ(0, answer(&self->device));
	}
	ASSERT_EQ(0, attach_writer(&self->device, SECOND, q->dmabuf[IDLE]));
	ASSERT_EQ(0, queue_buffers(q, order, 2));
	expect_held(_metadata, q, IDLE);
	expect_held(_metadata, q, LAST);
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, signal_fences(&self->device, SECOND));
	expect_frames(_metadata, q, order, 2);
	EXPECT_EQ(0, vivid_streamoff(q));
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
 * QBUF cannot check the fences before it takes the lock of the queue: the file
 * descriptor may refer to another dma-buf by then. Other users of that lock
 * must not notice.
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

/* The device goes while buffers are held back, and while the fence signals. */
TEST(unbind)
{
	struct vivid_queue q = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF,
		.size = VIMC_WIDTH * VIMC_HEIGHT,
	};
	struct device device = { };
	int round, ret;

	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");
	ret = alloc_dmabufs(&q, COUNT);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, start_device(&device));

	for (round = 0; round < 4; round++) {
		ret = open_queue(&q, VIMC);
		if (ret == -ENODEV)
			SKIP(return, "no vimc");
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, attach_writer(&device, FIRST, q.dmabuf[WRITTEN]));
		ASSERT_EQ(0, vivid_reqbufs(&q, COUNT));
		ASSERT_EQ(0, queue_all(&q));
		ASSERT_EQ(0, vivid_streamon(&q));
		if (round % 2)
			ASSERT_EQ(0, ask(&device, SIGNAL, FIRST, -1, 0));
		EXPECT_EQ(0, write_driver("vimc", "unbind", "vimc.0"));
		EXPECT_EQ(-ENODEV, take(&q));
		EXPECT_EQ(-ENODEV, vivid_qbuf(&q, IDLE));
		close(q.fd);
		EXPECT_EQ(0, write_driver("vimc", "bind", "vimc.0"));
		if (round % 2)
			ret = answer(&device);
		else
			ret = signal_fences(&device, FIRST);
		ASSERT_EQ(0, ret);
	}
	EXPECT_EQ(-ECANCELED, stop_device(&device));
}

static bool supports_requests(struct vivid_queue *q)
{
	struct v4l2_requestbuffers req = {
		.count = COUNT, .type = q->type, .memory = q->memory,
	};

	return !v4l2_ioctl(q->fd, VIDIOC_REQBUFS, &req) &&
	       req.capabilities & V4L2_BUF_CAP_SUPPORTS_REQUESTS;
}

/* A request is queued as long as its buffer is held back. */
TEST_F_TIMEOUT(fence, request, 60)
{
	bool output = variant->type == V4L2_BUF_TYPE_VIDEO_OUTPUT;
	struct vivid_queue *q = &self->q;
	int request[COUNT], media, i;

	if (!supports_requests(q))
		SKIP(return, "the driver does not support requests");
	media = vivid_open_media(q->fd);
	ASSERT_GE(media, 0);
	ASSERT_EQ(0, vivid_streamon(q));
	for (i = 0; i < COUNT; i++) {
		request[i] = make_request(q, media, i);
		ASSERT_GE(request[i], 0);
		EXPECT_EQ(V4L2_BUF_FLAG_IN_REQUEST, buffer_state(q, i));
	}
	for (i = 0; i < COUNT; i++)
		ASSERT_EQ(0, queue_request(request[i]));
	ASSERT_EQ(0, wait_for_driver(q, variant->allocator));
	expect_nothing(_metadata, q);
	for (i = 0; i < COUNT; i++) {
		expect_held(_metadata, q, i);
		EXPECT_FALSE(is_complete(request[i], 0));
		EXPECT_EQ(-EBUSY, reinit_request(request[i]));
	}

	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	for (i = 0; i < COUNT - output; i++) {
		ASSERT_TRUE(is_complete(request[i], -1));
		EXPECT_EQ(0, reinit_request(request[i]));
	}
	expect_frames(_metadata, q, all, COUNT);
	EXPECT_EQ(0, vivid_streamoff(q));
	for (i = 0; i < COUNT; i++)
		close(request[i]);
	close(media);
}

/* STREAMOFF ends the request, too. */
TEST_F_TIMEOUT(fence, request_streamoff, 60)
{
	struct vivid_queue *q = &self->q;
	int request[COUNT], media, i;

	if (!supports_requests(q))
		SKIP(return, "the driver does not support requests");
	media = vivid_open_media(q->fd);
	ASSERT_GE(media, 0);
	for (i = 0; i < COUNT; i++) {
		request[i] = make_request(q, media, i);
		ASSERT_GE(request[i], 0);
		ASSERT_EQ(0, queue_request(request[i]));
	}
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, vivid_streamoff(q));
	for (i = 0; i < COUNT; i++) {
		EXPECT_EQ(0, buffer_state(q, i));
		EXPECT_TRUE(is_complete(request[i], -1));
		EXPECT_EQ(0, reinit_request(request[i]));
		close(request[i]);
	}
	close(media);
}

TEST_HARNESS_MAIN
