/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tests of fences share: a device that is about to access dma-bufs, with
 * fences of sw_sync that signal when the test says so, and buffers that are
 * held back for them. To be included after kselftest_harness.h.
 */
#ifndef DMABUF_FENCE_H
#define DMABUF_FENCE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dmabuf_exporters.h"
#include "sw_sync.h"
#include "vivid.h"

/* Each is a timeline that signals on its own. */
enum { FIRST, SECOND, THIRD, TIMELINES };

/* What the process that has the fences is told to do */
enum { ATTACH, SIGNAL, FAIL };

struct command {
	int what;
	int timeline;
	int dmabuf;
	uint32_t flags;
};

/* A device that is about to access dma-bufs, in a process of its own */
struct device {
	pid_t pid;
	int commands;
	int answers;
	bool signalled;
};

struct timeline {
	int fd;
	uint32_t value;
};

/* A fence that signals when the timeline proceeds */
static inline int attach_fence(struct timeline *timeline, int dmabuf,
			       uint32_t flags)
{
	struct sw_sync_create_fence_data fence = {
		.value = timeline->value + 1,
	};
	struct dma_buf_import_sync_file import = { .flags = flags };
	int ret;

	if (timeline->fd < 0)
		timeline->fd = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	if (timeline->fd < 0)
		return -errno;

	ret = v4l2_ioctl(timeline->fd, SW_SYNC_IOC_CREATE_FENCE, &fence);
	if (ret)
		return ret;

	import.fd = fence.fence;
	ret = v4l2_ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import);
	close(fence.fence);

	return ret;
}

static inline int run_command(struct timeline *timeline,
			      const struct command *command)
{
	uint32_t inc = 1;

	switch (command->what) {
	case ATTACH:
		return attach_fence(timeline, command->dmabuf, command->flags);
	case SIGNAL:
		timeline->value++;
		return v4l2_ioctl(timeline->fd, SW_SYNC_IOC_INC, &inc);
	case FAIL:
		/* whatever is pending signals with -ENOENT */
		close(timeline->fd);
		timeline->fd = -1;
		timeline->value = 0;
		return 0;
	}

	return -EINVAL;
}

static inline void run_device(int commands, int answers)
{
	struct timeline timelines[TIMELINES];
	struct command command;
	int i, ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(timelines, 0, sizeof(timelines));
	for (i = 0; i < TIMELINES; i++)
		timelines[i].fd = -1;
	while (read(commands, &command, sizeof(command)) == sizeof(command)) {
		ret = run_command(&timelines[command.timeline], &command);
		if (write(answers, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

/*
 * The device inherits the dma-bufs that exist now. Its fences are pending until
 * it ends, and if the test hangs it is killed together with it.
 */
static inline int start_device(struct device *device)
{
	int commands[2], answers[2];

	if (pipe2(commands, O_CLOEXEC))
		return -errno;
	if (pipe2(answers, O_CLOEXEC))
		return -errno;

	device->pid = fork();
	if (!device->pid) {
		close(commands[1]);
		close(answers[0]);
		run_device(commands[0], answers[1]);
	}
	close(commands[0]);
	close(answers[1]);
	device->commands = commands[1];
	device->answers = answers[0];

	return device->pid < 0 ? -errno : 0;
}

static inline int ask(struct device *device, int what, int timeline, int dmabuf,
		      uint32_t flags)
{
	struct command command = {
		.what = what,
		.timeline = timeline,
		.dmabuf = dmabuf,
		.flags = flags,
	};
	ssize_t n;

	if (what != ATTACH && timeline == FIRST)
		device->signalled = true;
	n = write(device->commands, &command, sizeof(command));

	return n == sizeof(command) ? 0 : -EIO;
}

static inline int answer(struct device *device)
{
	int ret;

	if (read(device->answers, &ret, sizeof(ret)) != sizeof(ret))
		return -EIO;

	return ret;
}

static inline int tell(struct device *device, int what, int timeline,
		       int dmabuf, uint32_t flags)
{
	int ret = ask(device, what, timeline, dmabuf, flags);

	return ret ? ret : answer(device);
}

/* The device is about to write to the dma-buf. */
static inline int attach_writer(struct device *device, int timeline, int dmabuf)
{
	return tell(device, ATTACH, timeline, dmabuf, DMA_BUF_SYNC_WRITE);
}

/* The device is about to read the dma-buf. */
static inline int attach_reader(struct device *device, int timeline, int dmabuf)
{
	return tell(device, ATTACH, timeline, dmabuf, DMA_BUF_SYNC_READ);
}

static inline int signal_fences(struct device *device, int timeline)
{
	return tell(device, SIGNAL, timeline, -1, 0);
}

static inline bool is_pending(int dmabuf)
{
	struct pollfd pollfd = { .fd = dmabuf, .events = POLLOUT };

	return !poll(&pollfd, 1, 0);
}

static inline bool is_poison(const uint8_t *mem, size_t size)
{
	return mem[0] == POISON && !memcmp(mem, mem + 1, size - 1);
}

/* What a process returned, or -ECANCELED if it was killed */
static inline int finish(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;

	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECANCELED;
}

static inline int stop_device(struct device *device)
{
	int ret;

	kill(device->pid, SIGKILL);
	ret = finish(device->pid);
	close(device->commands);
	close(device->answers);

	return ret;
}

/* All of what QUERYBUF says of the state of a buffer */
#define STATE_FLAGS	(V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE | \
			 V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_LAST | \
			 V4L2_BUF_FLAG_IN_REQUEST | V4L2_BUF_FLAG_PREPARED)

/* Returns the flags for the state of a buffer, or -errno. */
static inline int buffer_state(struct vivid_queue *q, unsigned int index)
{
	struct v4l2_buffer buf = {
		.index = index, .type = q->type, .memory = q->memory,
	};
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_QUERYBUF, &buf);

	return ret ? ret : (int)(buf.flags & STATE_FLAGS);
}

static inline int poll_queue(struct vivid_queue *q, int timeout)
{
	struct pollfd pollfd = {
		.fd = q->fd,
		.events = V4L2_TYPE_IS_OUTPUT(q->type) ? POLLOUT : POLLIN,
	};

	return poll(&pollfd, 1, timeout);
}

/* DQBUF: returns the index of the buffer or -errno */
static inline int take_buffer(struct vivid_queue *q, struct v4l2_buffer *buf)
{
	int ret;

	memset(buf, 0, sizeof(*buf));
	buf->type = q->type;
	buf->memory = q->memory;
	ret = v4l2_ioctl(q->fd, VIDIOC_DQBUF, buf);
	if (ret)
		return ret;

	return buf->flags & V4L2_BUF_FLAG_ERROR ? -EIO : (int)buf->index;
}

static inline int take(struct vivid_queue *q)
{
	struct v4l2_buffer buf;

	return take_buffer(q, &buf);
}

/* The same, after a wait for a buffer without any other ioctl */
static inline int dequeue(struct vivid_queue *q)
{
	if (poll_queue(q, -1) < 0)
		return -errno;

	return take(q);
}

/* Maps dma-bufs that are new, with bytes that no picture has. */
static inline int alloc_dmabufs(struct vivid_queue *q, unsigned int count)
{
	void *mem;
	int ret;

	for (q->count = 0; q->count < count; q->count++) {
		q->dmabuf[q->count] = system_heap_alloc(q->size);
		if (q->dmabuf[q->count] < 0)
			return q->dmabuf[q->count];
		mem = mmap(NULL, q->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   q->dmabuf[q->count], 0);
		if (mem == MAP_FAILED)
			return -errno;
		q->mem[q->count] = mem;
		ret = vivid_poison(q, q->count);
		if (ret)
			return ret;
	}

	return 0;
}

/*
 * A buffer that is held back is queued, and nothing else. It is overwritten, so
 * that a driver has to fill it later, without a sync, which waits for fences.
 */
static inline void expect_held(struct __test_metadata *_metadata,
			       struct vivid_queue *q, unsigned int index)
{
	ASSERT_EQ(V4L2_BUF_FLAG_QUEUED, buffer_state(q, index));
	memset(q->mem[index], POISON, q->size);
}

/* Nothing is done, and DQBUF says so. */
static inline void expect_nothing(struct __test_metadata *_metadata,
				  struct vivid_queue *q)
{
	ASSERT_EQ(0, poll_queue(q, 0));
	ASSERT_EQ(-EAGAIN, take(q));
}

/* Makes a request of a buffer. Returns the request, or -errno. */
static inline int make_request(struct vivid_queue *q, int media,
			       unsigned int index)
{
	int ret, request;

	ret = v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC, &request);
	if (ret)
		return ret;
	q->request = request;
	ret = vivid_qbuf(q, index);
	q->request = 0;

	return ret ? ret : request;
}

static inline int queue_request(int request)
{
	return v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL);
}

static inline int reinit_request(int request)
{
	return v4l2_ioctl(request, MEDIA_REQUEST_IOC_REINIT, NULL);
}

static inline bool is_complete(int request, int timeout)
{
	struct pollfd pollfd = { .fd = request, .events = POLLPRI };

	return poll(&pollfd, 1, timeout) == 1 && pollfd.revents & POLLPRI;
}

/* Writes a device's name to a file of its driver: "bind" or "unbind". */
static inline int write_driver(const char *driver, const char *file,
			       const char *device)
{
	char path[96];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/sys/bus/platform/drivers/%s/%s", driver,
		 file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, device, strlen(device)) < 0)
		ret = -errno;
	close(fd);

	return ret;
}

#endif /* DMABUF_FENCE_H */
