/* SPDX-License-Identifier: GPL-2.0 */
/* Helpers for queues of the vivid driver. */

#ifndef VIVID_H
#define VIVID_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/media.h>
#include <linux/v4l2-dv-timings.h>
#include <linux/videodev2.h>

#define VIVID_MAX_BUFFERS	8

/* fills memory before a picture is captured to it */
#define POISON			0x5a

struct vivid_queue {
	int fd;
	enum v4l2_buf_type type;
	enum v4l2_memory memory;
	unsigned int count;
	size_t size;
	int request;
	void *mem[VIVID_MAX_BUFFERS];
	int dmabuf[VIVID_MAX_BUFFERS];
};

static inline int v4l2_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do
		ret = ioctl(fd, request, arg);
	while (ret && errno == EINTR);

	return ret ? -errno : 0;
}

/* Opens the node with a name like "vivid-000-vid-cap", or returns -errno. */
static inline int vivid_open(const char *name)
{
	char path[300], line[64];
	struct dirent *entry;
	int fd = -ENODEV;
	FILE *file;
	DIR *dir;

	dir = opendir("/sys/class/video4linux");
	if (!dir)
		return -errno;

	while (fd < 0 && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/sys/class/video4linux/%s/name",
			 entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(line, sizeof(line), file) &&
		    !strncmp(line, name, strlen(name)) &&
		    line[strlen(name)] == '\n') {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
			if (fd < 0)
				fd = -errno;
		}
		fclose(file);
	}
	closedir(dir);

	return fd;
}

/* Whether a node has the single-planar API */
static inline bool vivid_is_single_planar(int fd)
{
	struct v4l2_capability cap = { };

	return !v4l2_ioctl(fd, VIDIOC_QUERYCAP, &cap) &&
	       cap.device_caps & (V4L2_CAP_VIDEO_CAPTURE |
				  V4L2_CAP_VIDEO_OUTPUT | V4L2_CAP_VIDEO_M2M);
}

/*
 * Opens a node ("vid-cap", "meta-out", ...) of the first instance that has the
 * allocator, and its video with the single-planar API, or returns -errno.
 */
static inline int vivid_open_allocator(unsigned int allocator, const char *node)
{
	const char *dir = strchr(node, '-') + 1;
	char text[512] = "", name[32], *next = text;
	int instance, fd = -ENODEV;
	FILE *file;

	file = fopen("/sys/module/vivid/parameters/allocators", "r");
	if (!file)
		return fd;
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);

	for (instance = 0; fd < 0 && *next; instance++) {
		if (strtoul(next, &next, 10) == allocator) {
			snprintf(name, sizeof(name), "vivid-%03d-vid-%s",
				 instance, dir);
			fd = vivid_open(name);
			if (fd >= 0 && !vivid_is_single_planar(fd)) {
				close(fd);
				fd = -ENODEV;
			}
			snprintf(name, sizeof(name), "vivid-%03d-%s",
				 instance, node);
		}
		if (*next++ != ',')
			break;
	}
	if (fd < 0)
		return fd;
	close(fd);

	return vivid_open(name);
}

/* Opens the media device that the node @video belongs to. */
static inline int vivid_open_media(int video)
{
	struct media_device_info info = { };
	struct v4l2_capability cap = { };
	char path[32];
	int i, fd, ret;

	ret = v4l2_ioctl(video, VIDIOC_QUERYCAP, &cap);
	if (ret)
		return ret;

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/dev/media%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (!v4l2_ioctl(fd, MEDIA_IOC_DEVICE_INFO, &info) &&
		    !strcmp(info.bus_info, (char *)cap.bus_info))
			return fd;
		close(fd);
	}

	return -ENODEV;
}

static inline int vivid_set_in_request(int fd, int request,
				       struct v4l2_ext_control *ctrl)
{
	struct v4l2_ext_controls ctrls = {
		.which = V4L2_CTRL_WHICH_REQUEST_VAL,
		.count = 1,
		.controls = ctrl,
		.request_fd = request,
	};

	return v4l2_ioctl(fd, VIDIOC_S_EXT_CTRLS, &ctrls);
}

/* Gives a request what a stateless decoder has to know of the frame. */
static inline int vivid_set_fwht_params(int fd, int request,
					struct v4l2_ctrl_fwht_params *params)
{
	struct v4l2_ext_control ctrl = {
		.id = V4L2_CID_STATELESS_FWHT_PARAMS,
		.size = sizeof(*params),
		.ptr = params,
	};

	return vivid_set_in_request(fd, request, &ctrl);
}

static inline int vivid_find_control(int fd, const char *name,
				     struct v4l2_query_ext_ctrl *query)
{
	memset(query, 0, sizeof(*query));
	while (strcmp(query->name, name)) {
		query->id |= V4L2_CTRL_FLAG_NEXT_CTRL;
		if (v4l2_ioctl(fd, VIDIOC_QUERY_EXT_CTRL, query))
			return -ENOENT;
	}

	return 0;
}

/* Sets the menu control @name to the item @item. */
static inline int vivid_set_menu(int fd, const char *name, const char *item)
{
	struct v4l2_query_ext_ctrl query;
	struct v4l2_querymenu menu = { };
	struct v4l2_control ctrl;

	if (vivid_find_control(fd, name, &query))
		return -ENOENT;

	menu.id = query.id;
	for (menu.index = 0; menu.index <= query.maximum; menu.index++) {
		if (v4l2_ioctl(fd, VIDIOC_QUERYMENU, &menu) ||
		    strcmp((char *)menu.name, item))
			continue;
		ctrl.id = query.id;
		ctrl.value = menu.index;
		return v4l2_ioctl(fd, VIDIOC_S_CTRL, &ctrl);
	}

	return -ENOENT;
}

/* Selects the first input whose name starts with @name. */
static inline int vivid_set_input(int fd, const char *name)
{
	struct v4l2_input input = { };

	for (; !v4l2_ioctl(fd, VIDIOC_ENUMINPUT, &input); input.index++)
		if (!strncmp((char *)input.name, name, strlen(name)))
			return v4l2_ioctl(fd, VIDIOC_S_INPUT, &input.index);

	return -ENOENT;
}

static inline int vivid_set_output(int fd, const char *name)
{
	struct v4l2_output output = { };

	for (; !v4l2_ioctl(fd, VIDIOC_ENUMOUTPUT, &output); output.index++)
		if (!strncmp((char *)output.name, name, strlen(name)))
			return v4l2_ioctl(fd, VIDIOC_S_OUTPUT, &output.index);

	return -ENOENT;
}

/* Only a change of the timings resets the crop and compose rectangles. */
static inline int vivid_set_timings(int fd)
{
	struct v4l2_dv_timings timings = V4L2_DV_BT_CEA_640X480P59_94;
	struct v4l2_dv_timings other = V4L2_DV_BT_CEA_720X480P59_94;
	int ret;

	ret = v4l2_ioctl(fd, VIDIOC_S_DV_TIMINGS, &other);

	return ret ? ret : v4l2_ioctl(fd, VIDIOC_S_DV_TIMINGS, &timings);
}

/* Sets the format. Returns -EINVAL if the driver changes it or its size. */
static inline int vivid_set_pix(struct vivid_queue *q, uint32_t pixelformat,
				unsigned int width, unsigned int height)
{
	struct v4l2_format format = {
		.type = q->type,
		.fmt.pix = {
			.width = width,
			.height = height,
			.pixelformat = pixelformat,
			.field = V4L2_FIELD_NONE,
		},
	};
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_S_FMT, &format);
	if (ret)
		return ret;

	return format.fmt.pix.width == width &&
	       format.fmt.pix.height == height &&
	       format.fmt.pix.pixelformat == pixelformat ? 0 : -EINVAL;
}

/* Sets a format with 32 bits per pixel. */
static inline int vivid_set_format(int fd, enum v4l2_buf_type type,
				   unsigned int width, unsigned int height)
{
	struct vivid_queue q = { .fd = fd, .type = type };

	return vivid_set_pix(&q, V4L2_PIX_FMT_XBGR32, width, height);
}

static inline int vivid_set_rate(int fd, unsigned int frames_per_second)
{
	struct v4l2_streamparm parm = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.parm.capture.timeperframe = { 1, frames_per_second },
	};

	return v4l2_ioctl(fd, VIDIOC_S_PARM, &parm);
}

static inline int vivid_reqbufs(struct vivid_queue *q, unsigned int count)
{
	struct v4l2_requestbuffers req = {
		.count = count, .type = q->type, .memory = q->memory,
	};
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_REQBUFS, &req);

	return ret ? ret : req.count == count ? 0 : -ENOBUFS;
}

/* Releases the buffers of the queue; the dma-bufs stay the caller's. */
static inline int vivid_free(struct vivid_queue *q)
{
	unsigned int i;

	for (i = 0; i < q->count; i++) {
		if (q->mem[i])
			munmap(q->mem[i], q->size);
		q->mem[i] = NULL;
	}
	q->count = 0;

	return vivid_reqbufs(q, 0);
}

static inline int vivid_alloc_mmap(struct vivid_queue *q, unsigned int count)
{
	struct v4l2_buffer buf = {
		.type = q->type, .memory = V4L2_MEMORY_MMAP,
	};
	void *mem;
	int ret;

	q->memory = V4L2_MEMORY_MMAP;
	ret = vivid_reqbufs(q, count);
	if (ret)
		return ret;

	for (q->count = 0; q->count < count; q->count++) {
		buf.index = q->count;
		ret = v4l2_ioctl(q->fd, VIDIOC_QUERYBUF, &buf);
		if (ret)
			return ret;
		q->size = buf.length;
		mem = mmap(NULL, buf.length, PROT_READ | PROT_WRITE,
			   MAP_SHARED, q->fd, buf.m.offset);
		if (mem == MAP_FAILED)
			return -errno;
		q->mem[q->count] = mem;
	}

	return 0;
}

static inline int vivid_export(struct vivid_queue *q, unsigned int index)
{
	struct v4l2_exportbuffer expbuf = {
		.type = q->type,
		.index = index,
		.flags = O_RDWR | O_CLOEXEC,
	};
	int ret;

	ret = v4l2_ioctl(q->fd, VIDIOC_EXPBUF, &expbuf);

	return ret ? ret : expbuf.fd;
}

/*
 * Returns a dma-buf of at least @size bytes from the capture queue of the node
 * @name, or -errno. It keeps the memory, so the queue need not stay.
 */
static inline int vivid_alloc_export(const char *name, size_t size)
{
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_create_buffers create = {
		.count = 1,
		.memory = V4L2_MEMORY_MMAP,
		.format.type = q.type,
	};
	int ret;

	q.fd = vivid_open(name);
	if (q.fd < 0)
		return q.fd;

	ret = v4l2_ioctl(q.fd, VIDIOC_G_FMT, &create.format);
	if (create.format.fmt.pix.sizeimage < size)
		create.format.fmt.pix.sizeimage = size;
	if (!ret)
		ret = v4l2_ioctl(q.fd, VIDIOC_CREATE_BUFS, &create);
	if (!ret)
		ret = vivid_export(&q, create.index);
	close(q.fd);

	return ret;
}

/* Uses @dmabuf for the buffers of the queue, mapped for the test to look at. */
static inline int vivid_alloc_dmabuf(struct vivid_queue *q, unsigned int count,
				     const int *dmabuf, size_t size)
{
	void *mem;
	int ret;

	q->memory = V4L2_MEMORY_DMABUF;
	q->size = size;
	ret = vivid_reqbufs(q, count);
	if (ret)
		return ret;

	for (q->count = 0; q->count < count; q->count++) {
		q->dmabuf[q->count] = dmabuf[q->count];
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   dmabuf[q->count], 0);
		if (mem == MAP_FAILED)
			return -errno;
		q->mem[q->count] = mem;
	}

	return 0;
}

/* @length and @bytesused as in struct v4l2_buffer, 0 lets the kernel choose */
static inline int vivid_qbuf_len(struct vivid_queue *q, unsigned int index,
				 unsigned int length, unsigned int bytesused)
{
	struct v4l2_buffer buf = {
		.index = index,
		.type = q->type,
		.memory = q->memory,
		.field = V4L2_FIELD_NONE,
		.length = length,
		.bytesused = bytesused,
	};

	if (q->memory == V4L2_MEMORY_DMABUF)
		buf.m.fd = q->dmabuf[index];
	if (q->request) {
		buf.flags = V4L2_BUF_FLAG_REQUEST_FD;
		buf.request_fd = q->request;
	}

	return v4l2_ioctl(q->fd, VIDIOC_QBUF, &buf);
}

static inline int vivid_qbuf(struct vivid_queue *q, unsigned int index)
{
	bool output = q->type == V4L2_BUF_TYPE_VIDEO_OUTPUT;

	return vivid_qbuf_len(q, index, q->size, output ? q->size : 0);
}

/*
 * dma-contig rejects a buffer if its pages need bounce buffers and these are
 * not contiguous. Try again, as the next ones come from another place.
 */
static inline int vivid_try_buffer(struct vivid_queue *q, unsigned int index,
				   unsigned long request)
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
	int i, ret = -EFAULT;

	for (i = 0; i < 100 && ret == -EFAULT; i++)
		ret = v4l2_ioctl(q->fd, request, &buf);

	return ret;
}

/* Waits for a buffer and returns its index, or -errno. */
static inline int vivid_dqbuf(struct vivid_queue *q)
{
	struct pollfd pollfd = {
		.fd = q->fd,
		.events = V4L2_TYPE_IS_OUTPUT(q->type) ? POLLOUT : POLLIN,
	};
	struct v4l2_buffer buf = { .type = q->type, .memory = q->memory };
	int ret;

	if (poll(&pollfd, 1, -1) < 0)
		return -errno;

	ret = v4l2_ioctl(q->fd, VIDIOC_DQBUF, &buf);
	if (ret)
		return ret;

	return buf.flags & V4L2_BUF_FLAG_ERROR ? -EIO : (int)buf.index;
}

static inline int vivid_streamon(struct vivid_queue *q)
{
	int type = q->type;

	return v4l2_ioctl(q->fd, VIDIOC_STREAMON, &type);
}

static inline int vivid_streamoff(struct vivid_queue *q)
{
	int type = q->type;

	return v4l2_ioctl(q->fd, VIDIOC_STREAMOFF, &type);
}

/* Takes two pictures, into the first two buffers of the queue. */
static inline int vivid_take_pictures(struct vivid_queue *q)
{
	int i, ret;

	for (i = 0; i < 2; i++) {
		ret = vivid_qbuf(q, i);
		if (ret)
			return ret;
	}
	ret = vivid_streamon(q);
	if (ret)
		return ret;
	for (i = 0; i < 2; i++) {
		ret = vivid_dqbuf(q);
		if (ret < 0)
			return ret;
	}

	return vivid_streamoff(q);
}

static inline int sync_begin(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | flags };

	return v4l2_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
}

static inline int sync_end(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_END | flags };

	return v4l2_ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
}

/* Fills the dma-buf of a buffer with bytes that no picture has. */
static inline int vivid_poison(struct vivid_queue *q, unsigned int index)
{
	int ret;

	ret = sync_begin(q->dmabuf[index], DMA_BUF_SYNC_WRITE);
	if (ret)
		return ret;
	memset(q->mem[index], POISON, q->size);

	return sync_end(q->dmabuf[index], DMA_BUF_SYNC_WRITE);
}

/* Fills @mem with @number and noise that is a function of it. */
static inline void fill_noise(uint32_t *mem, size_t size, uint32_t number)
{
	uint32_t x = number * 2654435761U + 1;
	size_t i;

	mem[0] = number;
	for (i = 1; i < size / sizeof(*mem); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		mem[i] = x;
	}
}

static inline bool is_filled(const uint8_t *mem, uint8_t byte, size_t size)
{
	return mem[0] == byte && !memcmp(mem, mem + 1, size - 1);
}

#endif /* VIVID_H */
