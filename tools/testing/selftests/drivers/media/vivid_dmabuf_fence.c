// SPDX-License-Identifier: GPL-2.0
/*
 * Whether drivers that access buffers with the CPU wait for the fences of
 * imported dma-bufs, and whether everybody else goes on meanwhile.
 *
 * Needs root, debugfs and sw_sync. Instance 0 of vivid with the default
 * allocator and the single-planar API, instance 2 with the multi-planar API,
 * instance 3 with dma-contig:
 *
 *	modprobe vivid n_devs=4 multiplanar=1,1,2,1 allocators=0,0,0,1
 *	modprobe vim2m
 */

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "vivid.h"

#define SW_SYNC		"/sys/kernel/debug/sync/sw_sync"

struct sw_sync_create_fence_data {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_IOC_CREATE_FENCE \
	_IOWR('W', 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC	_IOW('W', 1, uint32_t)

/* Long enough to see that a call waits, and for a call that does not */
#define WAIT_US		200000
#define PROMPT_MS	3000

/* What waits for no good reason ends: nobody shall have to reboot. */
#define GIVE_UP_S	15

#define COUNT		3
#define FENCED		2

/*
 * Has a device read the dma-buf or write to it, until signal_fence() of what
 * this returns, unless that is -errno.
 */
static int attach_fence(int dmabuf, uint32_t flags)
{
	struct sw_sync_create_fence_data fence = { .value = 1 };
	struct dma_buf_import_sync_file import = { .flags = flags };
	int timeline, ret;

	timeline = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	if (timeline < 0)
		return -errno;

	ret = v4l2_ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &fence);
	if (!ret) {
		import.fd = fence.fence;
		ret = v4l2_ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
				 &import);
		close(fence.fence);
	}
	if (ret) {
		close(timeline);
		return ret;
	}

	return timeline;
}

static int signal_fence(int timeline)
{
	uint32_t one = 1;
	int ret;

	ret = v4l2_ioctl(timeline, SW_SYNC_IOC_INC, &one);
	close(timeline);

	return ret;
}

/* How many references the dma-buf has, or -errno. */
static int dmabuf_references(int dmabuf)
{
	FILE *bufinfo;
	int count;

	bufinfo = dmabuf_info(dmabuf, &count);
	if (!bufinfo)
		return -errno;
	fclose(bufinfo);

	return count;
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);

	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_alarm(int sig)
{
}

static int buffer_ioctl(struct vivid_queue *q, unsigned long request,
			unsigned int index)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES] = { };
	struct v4l2_buffer buf = {
		.index = index,
		.type = q->type,
		.memory = V4L2_MEMORY_DMABUF,
		.field = V4L2_FIELD_NONE,
		.length = q->size,
		.bytesused = V4L2_TYPE_IS_OUTPUT(q->type) ? q->size : 0,
	};

	if (V4L2_TYPE_IS_MULTIPLANAR(q->type)) {
		/* only one of them has the fences */
		buf.m.planes = planes;
		buf.length = 2;
		planes[0].m.fd = q->dmabuf[0];
		planes[1].m.fd = q->dmabuf[index];
	} else {
		buf.m.fd = q->dmabuf[index];
	}
	if (q->request && request == VIDIOC_QBUF) {
		buf.flags = V4L2_BUF_FLAG_REQUEST_FD;
		buf.request_fd = q->request;
	}

	return ioctl(q->fd, request, &buf) ? -errno : 0;
}

static int qbuf(struct vivid_queue *q, unsigned int index)
{
	return buffer_ioctl(q, VIDIOC_QBUF, index);
}

/* The V4L2_BUF_FLAG_s of the buffer */
static int buffer_flags(struct vivid_queue *q, unsigned int index)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES] = { };
	struct v4l2_buffer buf = { .index = index, .type = q->type };
	int ret;

	if (V4L2_TYPE_IS_MULTIPLANAR(q->type)) {
		buf.m.planes = planes;
		buf.length = VIDEO_MAX_PLANES;
	}
	ret = v4l2_ioctl(q->fd, VIDIOC_QUERYBUF, &buf);

	return ret ? ret : (int)buf.flags;
}

/* Another process that shares the file does an ioctl; SIGALRM interrupts it. */
static pid_t start(struct vivid_queue *q, unsigned long request,
		   unsigned int index, int sa_flags)
{
	struct sigaction action = {
		.sa_handler = on_alarm, .sa_flags = sa_flags,
	};
	pid_t pid;

	pid = fork();
	if (pid)
		return pid;

	sigaction(SIGALRM, &action, NULL);
	alarm(GIVE_UP_S);
	_exit(-buffer_ioctl(q, request, index));
}

static bool waits(pid_t pid)
{
	siginfo_t info = { };

	usleep(WAIT_US);

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       !info.si_pid;
}

/* Returns what the ioctl returned: -ETIMEDOUT if it takes too long for that. */
static int finish(pid_t pid)
{
	long end = now_ms() + PROMPT_MS;
	int status, ret;

	do {
		ret = waitpid(pid, &status, WNOHANG);
		if (ret < 0)
			return -errno;
		if (ret)
			return WIFEXITED(status) ? -WEXITSTATUS(status) :
						   -ECANCELED;
		usleep(10000);
	} while (now_ms() < end);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	return -ETIMEDOUT;
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

/* Sets a control and uses a queue that does not stream, 0 if all is well. */
static int use_idle(int fd, enum v4l2_buf_type type)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES] = { };
	struct v4l2_buffer buf = {
		.type = type, .memory = V4L2_MEMORY_DMABUF,
	};
	int ret, streamoff = type;

	ret = set_control(fd);
	if (ret)
		return ret;
	if (V4L2_TYPE_IS_MULTIPLANAR(type)) {
		buf.m.planes = planes;
		buf.length = VIDEO_MAX_PLANES;
	}
	ret = v4l2_ioctl(fd, VIDIOC_DQBUF, &buf);
	if (ret != -EINVAL)
		return ret ? ret : -EIO;

	return v4l2_ioctl(fd, VIDIOC_STREAMOFF, &streamoff);
}

FIXTURE(fence)
{
	struct vivid_queue q;
};

FIXTURE_VARIANT(fence)
{
	const char *node;
	const char *other;
	enum v4l2_buf_type type;
	enum v4l2_buf_type other_type;
	bool m2m;
};

FIXTURE_VARIANT_ADD(fence, capture) {
	.node = "vivid-000-vid-cap",
	.other = "vivid-000-vid-out",
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.other_type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
};

FIXTURE_VARIANT_ADD(fence, output) {
	.node = "vivid-000-vid-out",
	.other = "vivid-000-vid-cap",
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.other_type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
};

FIXTURE_VARIANT_ADD(fence, capture_mplane) {
	.node = "vivid-002-vid-cap",
	.other = "vivid-002-vid-out",
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
	.other_type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
};

FIXTURE_VARIANT_ADD(fence, m2m_capture) {
	.node = "vim2m",
	.other = "vim2m",
	.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.other_type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.m2m = true,
};

FIXTURE_VARIANT_ADD(fence, m2m_output) {
	.node = "vim2m",
	.other = "vim2m",
	.type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.other_type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.m2m = true,
};

FIXTURE_SETUP(fence)
{
	struct v4l2_format format = { .type = variant->type };
	struct vivid_queue *q = &self->q;
	int i;

	memset(self, 0, sizeof(*self));
	q->fd = -1;
	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");

	q->type = variant->type;
	q->fd = vivid_open(variant->node);
	if (q->fd == -ENODEV)
		SKIP(return, "no %s", variant->node);
	ASSERT_GE(q->fd, 0);

	ASSERT_EQ(0, v4l2_ioctl(q->fd, VIDIOC_G_FMT, &format));
	q->size = format.fmt.pix.sizeimage;
	if (V4L2_TYPE_IS_MULTIPLANAR(q->type)) {
		format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_NV16M;
		/* what others have asked for is kept otherwise */
		memset(format.fmt.pix_mp.plane_fmt, 0,
		       sizeof(format.fmt.pix_mp.plane_fmt));
		ASSERT_EQ(0, v4l2_ioctl(q->fd, VIDIOC_S_FMT, &format));
		ASSERT_EQ(2, format.fmt.pix_mp.num_planes);
		q->size = format.fmt.pix_mp.plane_fmt[0].sizeimage;
	}

	q->memory = V4L2_MEMORY_DMABUF;
	ASSERT_EQ(0, vivid_reqbufs(q, COUNT));
	for (i = 0; i < COUNT; i++) {
		q->dmabuf[i] = system_heap_alloc(q->size);
		if (q->dmabuf[i] == -ENODEV)
			SKIP(return, "no system heap");
		ASSERT_GE(q->dmabuf[i], 0);
	}
}

/* All references that somebody took have been put. */
FIXTURE_TEARDOWN(fence)
{
	struct vivid_queue *q = &self->q;
	int i;

	close(q->fd);
	for (i = 0; i < COUNT && q->dmabuf[i] > 0; i++) {
		EXPECT_EQ(1, dmabuf_references(q->dmabuf[i]));
		close(q->dmabuf[i]);
	}
}

/* QBUF waits, and O_NONBLOCK is not about that. */
TEST_F(fence, qbuf)
{
	struct vivid_queue *q = &self->q;
	int flags[2] = { O_NONBLOCK, 0 };
	int i, fence;
	pid_t pid;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, fcntl(q->fd, F_SETFL, flags[i]));
		fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
		ASSERT_GE(fence, 0);
		/* the buffers without a fence are none of its business */
		EXPECT_EQ(0, qbuf(q, i));

		pid = start(q, VIDIOC_QBUF, FENCED, 0);
		EXPECT_TRUE(waits(pid));
		EXPECT_FALSE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
		ASSERT_EQ(0, signal_fence(fence));
		EXPECT_EQ(0, finish(pid));
		EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
		ASSERT_EQ(0, vivid_streamoff(q));
	}
}

/* Who reads the dma-buf is in the way of who writes to it, and only of them. */
TEST_F(fence, read_fence)
{
	struct vivid_queue *q = &self->q;
	pid_t pid;
	int fence;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_READ);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_EQ(!V4L2_TYPE_IS_OUTPUT(q->type), waits(pid));
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(0, finish(pid));
	EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
}

/* Fences that come while QBUF waits are waited for as well. */
TEST_F(fence, next_fence)
{
	struct vivid_queue *q = &self->q;
	int fence, next;
	pid_t pid;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));
	next = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(next, 0);
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_TRUE(waits(pid));
	ASSERT_EQ(0, signal_fence(next));
	EXPECT_EQ(0, finish(pid));
}

/* A call that fails does so at once. */
TEST_F(fence, fails_at_once)
{
	struct vivid_queue *q = &self->q;
	long begin = now_ms();
	int fence;

	ASSERT_EQ(0, qbuf(q, FENCED));
	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	EXPECT_EQ(-EINVAL, finish(start(q, VIDIOC_QBUF, FENCED, 0)));
	EXPECT_EQ(-EINVAL, finish(start(q, VIDIOC_PREPARE_BUF, FENCED, 0)));
	EXPECT_EQ(-EINVAL, finish(start(q, VIDIOC_QBUF, COUNT, 0)));
	EXPECT_GT(begin + PROMPT_MS, now_ms());
	ASSERT_EQ(0, signal_fence(fence));
}

TEST_F(fence, prepare_buf)
{
	struct vivid_queue *q = &self->q;
	pid_t pid;
	int fence;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_PREPARE_BUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));
	EXPECT_FALSE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_PREPARED);
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(0, finish(pid));
	EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_PREPARED);

	/* The driver has it now, nobody ought to use it. */
	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	EXPECT_EQ(0, finish(start(q, VIDIOC_QBUF, FENCED, 0)));
	ASSERT_EQ(0, signal_fence(fence));
}

TEST_F(fence, signal)
{
	struct vivid_queue *q = &self->q;
	pid_t pid;
	int fence;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	ASSERT_TRUE(waits(pid));
	ASSERT_EQ(0, kill(pid, SIGALRM));
	EXPECT_EQ(-EINTR, finish(pid));
	EXPECT_FALSE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);

	pid = start(q, VIDIOC_QBUF, FENCED, SA_RESTART);
	ASSERT_TRUE(waits(pid));
	ASSERT_EQ(0, kill(pid, SIGALRM));
	EXPECT_TRUE(waits(pid));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(-ECANCELED, finish(pid));
	EXPECT_FALSE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
	EXPECT_EQ(1, dmabuf_references(q->dmabuf[FENCED]));

	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(0, finish(start(q, VIDIOC_QBUF, FENCED, 0)));
	EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
}

/* Whoever shares a lock with the queue goes on while QBUF waits. */
TEST_F(fence, others)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES] = { };
	struct v4l2_format format = { .type = variant->type };
	struct vivid_queue *q = &self->q;
	struct v4l2_buffer buf = {
		.type = q->type,
		.memory = q->memory,
		.m.planes = planes,
		.length = VIDEO_MAX_PLANES,
	};
	int fd, fence, ret;
	long begin;
	pid_t pid;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));

	begin = now_ms();
	EXPECT_EQ(0, set_control(q->fd));
	EXPECT_EQ(0, v4l2_ioctl(q->fd, VIDIOC_G_FMT, &format));
	EXPECT_EQ(0, qbuf(q, 0));
	EXPECT_EQ(0, qbuf(q, 1));
	EXPECT_EQ(0, vivid_streamon(q));
	do {
		usleep(10000);
		ret = v4l2_ioctl(q->fd, VIDIOC_DQBUF, &buf);
	} while (ret == -EAGAIN && now_ms() < begin + PROMPT_MS / 2);
	/* vivid's threads need the lock, too. vim2m lacks the other queue. */
	EXPECT_EQ(variant->m2m ? -EAGAIN : 0, ret);
	EXPECT_EQ(0, vivid_streamoff(q));
	fd = vivid_open(variant->node);
	EXPECT_GE(fd, 0);
	EXPECT_EQ(0, close(fd));
	fd = vivid_open(variant->other);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, use_idle(fd, variant->other_type));
	EXPECT_EQ(0, close(fd));
	EXPECT_GT(begin + PROMPT_MS, now_ms());

	/* As if it came after all that */
	EXPECT_TRUE(waits(pid));
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(0, finish(pid));
	EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
	EXPECT_FALSE(buffer_flags(q, 0) & V4L2_BUF_FLAG_QUEUED);
}

/* The buffer is gone when the wait is over. */
TEST_F(fence, free)
{
	struct vivid_queue *q = &self->q;
	pid_t pid;
	int fence;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));
	EXPECT_EQ(0, vivid_free(q));
	EXPECT_TRUE(waits(pid));
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(-EINVAL, finish(pid));
}

/* The queue is somebody else's when the wait is over. */
TEST_F(fence, owner)
{
	struct vivid_queue *q = &self->q, other = *q;
	pid_t pid;
	int fence;

	if (variant->m2m)
		SKIP(return, "everybody has their own queue");

	other.fd = vivid_open(variant->node);
	ASSERT_GE(other.fd, 0);
	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));
	EXPECT_EQ(0, vivid_free(q));
	EXPECT_EQ(0, vivid_reqbufs(&other, COUNT));
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(-EBUSY, finish(pid));
	EXPECT_FALSE(buffer_flags(&other, FENCED) & V4L2_BUF_FLAG_QUEUED);
	close(other.fd);
}

/* Somebody else has queued the buffer when the wait is over. */
TEST_F(fence, queued)
{
	struct vivid_queue *q = &self->q;
	int fence, dmabuf = q->dmabuf[FENCED];
	pid_t pid;

	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));
	q->dmabuf[FENCED] = q->dmabuf[0];
	EXPECT_EQ(0, qbuf(q, FENCED));
	q->dmabuf[FENCED] = dmabuf;
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(-EINVAL, finish(pid));
	EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_QUEUED);
}

/* Requests are bound, queued and released while QBUF waits. */
TEST_F(fence, request)
{
	struct vivid_queue *q = &self->q;
	int fd, fence, media, request;
	long begin;
	pid_t pid;

	media = vivid_open_media(q->fd);
	if (variant->m2m || media < 0)
		SKIP(return, "no requests");
	ASSERT_EQ(0, v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC, &request));
	ASSERT_EQ(0, v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC, &q->request));
	fence = attach_fence(q->dmabuf[FENCED], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	ASSERT_TRUE(waits(pid));
	ASSERT_EQ(0, kill(pid, SIGALRM));
	EXPECT_EQ(-EINTR, finish(pid));
	EXPECT_FALSE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_IN_REQUEST);
	pid = start(q, VIDIOC_QBUF, FENCED, 0);
	EXPECT_TRUE(waits(pid));

	begin = now_ms();
	EXPECT_EQ(0, use_idle(q->fd, q->type));
	fd = vivid_open(variant->other);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, use_idle(fd, variant->other_type));
	EXPECT_EQ(0, close(fd));
	EXPECT_TRUE(waits(pid));
	fd = q->request;
	q->request = request;
	EXPECT_EQ(0, qbuf(q, 0));
	q->request = fd;
	EXPECT_EQ(0, v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL));
	EXPECT_EQ(0, vivid_streamon(q));
	EXPECT_GT(begin + PROMPT_MS, now_ms());

	EXPECT_TRUE(waits(pid));
	EXPECT_FALSE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_IN_REQUEST);
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(0, finish(pid));
	EXPECT_TRUE(buffer_flags(q, FENCED) & V4L2_BUF_FLAG_IN_REQUEST);
	begin = now_ms();
	EXPECT_EQ(0, v4l2_ioctl(q->request, MEDIA_REQUEST_IOC_QUEUE, NULL));
	EXPECT_EQ(0, vivid_streamoff(q));
	EXPECT_GT(begin + PROMPT_MS, now_ms());
	close(request);
	close(q->request);
	close(media);
}

/* Nobody has asked drivers that leave the access to a device to wait. */
TEST(device)
{
	struct vivid_queue q = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_DMABUF,
		.size = 128 * 128 * 4,
	};
	int fence;

	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");
	q.fd = vivid_open("vivid-003-vid-cap");
	if (q.fd == -ENODEV)
		SKIP(return, "no vivid-003-vid-cap");
	ASSERT_GE(q.fd, 0);
	ASSERT_EQ(0, vivid_set_input(q.fd, "HDMI"));
	ASSERT_EQ(0, vivid_set_timings(q.fd));
	ASSERT_EQ(0, vivid_set_format(q.fd, q.type, 128, 128));
	q.dmabuf[0] = system_heap_alloc(q.size);
	if (q.dmabuf[0] == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_GE(q.dmabuf[0], 0);

	ASSERT_EQ(0, vivid_reqbufs(&q, 2));
	fence = attach_fence(q.dmabuf[0], DMA_BUF_SYNC_WRITE);
	ASSERT_GE(fence, 0);
	EXPECT_EQ(0, finish(start(&q, VIDIOC_QBUF, 0, 0)));
	ASSERT_EQ(0, signal_fence(fence));
	EXPECT_EQ(0, vivid_free(&q));
	close(q.fd);
	close(q.dmabuf[0]);
}

TEST_HARNESS_MAIN
