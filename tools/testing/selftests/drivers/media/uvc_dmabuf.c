// SPDX-License-Identifier: GPL-2.0
/*
 * uvcvideo with an emulated USB camera: import of dma-bufs, export of buffers,
 * and what happens to all of them when the camera is unplugged.
 *
 * Needs root, debugfs, /dev/raw-gadget, dummy_hcd and vhci_hcd. Exporters that
 * are not there are skipped, and so are the tests that need an instance of
 * vivid with dma-contig, or for each mapping a bounce buffer:
 *
 *	swiotlb=force
 *	modprobe vivid n_devs=4 allocators=0,0,0,1
 *
 * $UVC_UNPLUG_TIMES is how often the camera is unplugged in each state.
 */

#include <linux/uvcvideo.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "../../kselftest_harness.h"
#include "bounce_buffer.h"
#include "dmabuf_exporters.h"
#include "dmabuf_fence.h"
#include "dmabuf_shadow.h"
#include "uvc_camera.h"
#include "vivid.h"

#define BUFFERS		4
#define FRAMES		12U

/* A dma-buf is longer than a frame by this. */
#define TAIL		65536

/* enough frames to be busy when the camera is unplugged */
#define MANY		4096

#define SMALL		(CAMERA_SIZES - 1)

/* Opens the video of the camera that has been plugged in. */
static int open_video(struct camera *camera, struct vivid_queue *q,
		      unsigned int size)
{
	q->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	q->fd = camera_open(camera, V4L2_CAP_VIDEO_CAPTURE);

	return q->fd < 0 ? q->fd : camera_set_format(q, CAMERA_YUYV, size);
}

static int open_meta(struct camera *camera, struct vivid_queue *q)
{
	q->type = V4L2_BUF_TYPE_META_CAPTURE;
	q->fd = camera_open(camera, V4L2_CAP_META_CAPTURE);
	if (q->fd < 0)
		return q->fd;

	return vivid_alloc_mmap(q, BUFFERS);
}

static int queue_all(struct vivid_queue *q)
{
	int i, ret = 0;

	for (i = 0; !ret && i < BUFFERS; i++)
		ret = vivid_qbuf(q, i);

	return ret;
}

/* The next buffer that is done, with whatever is in it, or -errno */
static int wait_buffer(struct vivid_queue *q, struct v4l2_buffer *buf)
{
	int ret;

	if (poll_queue(q, -1) != 1)
		return -errno;
	ret = take_buffer(q, buf);

	return buf->flags & V4L2_BUF_FLAG_ERROR ? (int)buf->index : ret;
}

/* What is_frame() looked for last */
static __thread uint8_t expected[CAMERA_MAX_FRAME];

/*
 * Does a buffer have the first @length bytes of the frame with this number, and
 * nothing after them? A @length of 0 means the whole frame.
 */
static bool is_frame(struct vivid_queue *q, unsigned int index,
		     size_t length, enum camera_format format,
		     unsigned int size, uint32_t number)
{
	size_t whole = camera_fill(expected, format, size, number);
	const uint8_t *mem = q->mem[index];
	bool imported = q->memory == V4L2_MEMORY_DMABUF, same;

	if (!length)
		length = whole;
	if (imported && sync_begin(q->dmabuf[index], DMA_BUF_SYNC_READ))
		return false;
	same = !memcmp(mem, expected, length) &&
	       (length == q->size ||
		is_poison(mem + length, q->size - length));
	if (imported && sync_end(q->dmabuf[index], DMA_BUF_SYNC_READ))
		return false;

	return same;
}

/* For the log: the first byte of a whole frame that is not as expected */
static size_t wrong_byte(struct vivid_queue *q, unsigned int index)
{
	const uint8_t *mem = q->mem[index];
	size_t i = 0;

	while (i < q->size && mem[i] == expected[i])
		i++;

	return i;
}

static int poison(struct vivid_queue *q, unsigned int index)
{
	if (q->memory == V4L2_MEMORY_DMABUF)
		return vivid_poison(q, index);
	memset(q->mem[index], POISON, q->size);

	return 0;
}

/*
 * Takes frames, and asks for one whenever there is a buffer for it. Each must
 * be complete, in place, and arrive once. As frames are copied in parallel, a
 * small one may overtake another: the sequence number identifies it.
 */
static void take_frames(struct __test_metadata *_metadata,
			struct camera *camera, struct vivid_queue *q,
			enum camera_format format, unsigned int size)
{
	uint32_t first = camera_number(camera), seen = 0, late = 0, n;
	struct v4l2_buffer buf;
	int i;

	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, poison(q, i));
		ASSERT_EQ(0, vivid_qbuf(q, i));
	}
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, camera_ask(camera, CAMERA_FRAME, BUFFERS));
	for (n = 0; n < FRAMES; n++) {
		i = wait_buffer(q, &buf);
		ASSERT_GE(i, 0);
		EXPECT_EQ(0, buf.flags & V4L2_BUF_FLAG_ERROR);
		ASSERT_LT(buf.sequence, FRAMES);
		late += seen >> buf.sequence != 0;
		seen |= 1U << buf.sequence;
		EXPECT_EQ(camera_length(format, size, first + buf.sequence),
			  buf.bytesused);
		ASSERT_TRUE(is_frame(q, i, 0, format, size,
				     first + buf.sequence)) {
			TH_LOG("frame %u is wrong from byte %zu, error %d",
			       first + buf.sequence, wrong_byte(q, i),
			       camera->shared->error);
		}
		if (n + BUFFERS >= FRAMES)
			continue;
		ASSERT_EQ(0, poison(q, i));
		ASSERT_EQ(0, vivid_qbuf(q, i));
		ASSERT_EQ(0, camera_ask(camera, CAMERA_FRAME, 1));
	}
	EXPECT_EQ((1U << FRAMES) - 1, seen);
	if (late)
		TH_LOG("%u frames of %u were overtaken", late, FRAMES);
	ASSERT_EQ(0, vivid_streamoff(q));
}

/* No exporter: the camera's queue has its own memory. */
static int no_alloc(size_t size)
{
	return -1;
}

static int vivid_alloc(size_t size)
{
	return vivid_alloc_export("vivid-001-vid-cap", size);
}

static int vivid_dma_contig_alloc(size_t size)
{
	return vivid_alloc_export("vivid-003-vid-cap", size);
}

/* Older kernels only return frames with errors if they are told to. */
static bool has_errors(void)
{
	FILE *file = fopen("/sys/module/uvcvideo/parameters/nodrop", "r");
	bool ret = file && fgetc(file) == '1';

	if (file)
		fclose(file);

	return ret;
}

FIXTURE(capture)
{
	struct camera camera;
	struct vivid_queue q;
	int dmabuf[BUFFERS];
};

FIXTURE_VARIANT(capture)
{
	int (*alloc)(size_t size);
	bool isochronous;
};

FIXTURE_VARIANT_ADD(capture, mmap) { .alloc = no_alloc };
FIXTURE_VARIANT_ADD(capture, system_heap) { .alloc = system_heap_alloc };
FIXTURE_VARIANT_ADD(capture, cma_heap) { .alloc = cma_heap_alloc };
FIXTURE_VARIANT_ADD(capture, shadow_heap) { .alloc = shadow_heap_alloc };
FIXTURE_VARIANT_ADD(capture, udmabuf) { .alloc = udmabuf_alloc };
FIXTURE_VARIANT_ADD(capture, vgem) { .alloc = vgem_alloc };
FIXTURE_VARIANT_ADD(capture, virtio_gpu) { .alloc = virtio_gpu_alloc };
FIXTURE_VARIANT_ADD(capture, vkms) { .alloc = vkms_alloc };
FIXTURE_VARIANT_ADD(capture, vivid) { .alloc = vivid_alloc };
FIXTURE_VARIANT_ADD(capture, vivid_dma_contig) {
	.alloc = vivid_dma_contig_alloc
};

FIXTURE_VARIANT_ADD(capture, isochronous) {
	.alloc = system_heap_alloc, .isochronous = true
};

FIXTURE_SETUP(capture)
{
	int i, ret;

	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);
	for (i = 0; i < BUFFERS; i++) {
		self->dmabuf[i] = variant->alloc(CAMERA_MAX_FRAME + TAIL);
		if (self->dmabuf[i] == -ENODEV)
			SKIP(return, "no such exporter");
		if (variant->alloc != no_alloc)
			ASSERT_GE(self->dmabuf[i], 0);
	}
	ret = camera_plug(&self->camera, variant->isochronous);
	if (ret == -ENODEV)
		SKIP(return, "no " CAMERA_NEEDS);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, open_video(&self->camera, &self->q, 0));
}

FIXTURE_TEARDOWN(capture)
{
	int i, cpu_only;

	close(self->q.fd);
	camera_unplug(&self->camera);
	for (i = 0; i < BUFFERS && self->dmabuf[i] >= 0; i++) {
		EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[i], &cpu_only));
		close(self->dmabuf[i]);
	}
}

static int alloc_buffers(struct vivid_queue *q, const int *dmabuf, size_t size)
{
	if (dmabuf[0] < 0)
		return vivid_alloc_mmap(q, BUFFERS);

	return vivid_alloc_dmabuf(q, BUFFERS, dmabuf, size);
}

/* All formats and sizes, each frame as the camera sent it */
TEST_F_TIMEOUT(capture, frames, 120)
{
	struct vivid_queue *q = &self->q;
	enum camera_format format;
	unsigned int size;

	for (format = CAMERA_YUYV; format <= CAMERA_FORMATS; format++) {
		for (size = 0; size < CAMERA_SIZES; size++) {
			ASSERT_EQ(0, camera_set_format(q, format, size));
			ASSERT_EQ(0, alloc_buffers(q, self->dmabuf, q->size));
			take_frames(_metadata, &self->camera, q, format, size);
			ASSERT_EQ(0, vivid_free(q));
		}
	}
}

/*
 * Errors in a frame are reported, and the next frame is good. The camera gets a
 * part of each dma-buf, and must not write beyond it.
 */
TEST_F_TIMEOUT(capture, errors, 60)
{
	static const enum camera_command wrong[] = {
		CAMERA_ERROR, CAMERA_SHORT, CAMERA_LONG, CAMERA_HALF
	};
	size_t whole = camera_max_frame(CAMERA_YUYV, SMALL), length;
	struct vivid_queue *q = &self->q;
	struct v4l2_buffer buf;
	uint32_t number;
	int i, n;
	bool bad;

	if (!has_errors())
		SKIP(return, "uvcvideo.nodrop is not 1");
	ASSERT_EQ(0, camera_set_format(q, CAMERA_YUYV, SMALL));
	ASSERT_EQ(0, alloc_buffers(q, self->dmabuf, whole + TAIL));
	ASSERT_EQ(0, vivid_streamon(q));
	for (n = 0; n < ARRAY_SIZE(wrong); n++) {
		number = camera_number(&self->camera);
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, poison(q, i));
			ASSERT_EQ(0, vivid_qbuf_len(q, i, whole, 0));
		}
		ASSERT_EQ(0, camera_ask(&self->camera, wrong[n], 1));
		ASSERT_EQ(0, camera_ask(&self->camera, CAMERA_FRAME, 1));

		length = wrong[n] == CAMERA_SHORT || wrong[n] == CAMERA_HALF ?
			 whole / 2 : whole;
		for (i = 0; i < 2; i++) {
			ASSERT_GE(wait_buffer(q, &buf), 0);
			bad = !buf.index;
			EXPECT_EQ(bad, !!(buf.flags & V4L2_BUF_FLAG_ERROR));
			EXPECT_EQ(bad ? length : whole, buf.bytesused);
			EXPECT_TRUE(is_frame(q, buf.index, buf.bytesused,
					     CAMERA_YUYV, SMALL,
					     number + buf.index));
		}
	}
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_free(q));
}

/* The camera is attached to the dma-bufs while it streams. */
TEST_F(capture, attached)
{
	struct vivid_queue *q = &self->q;
	int i, cpu_only;

	if (self->dmabuf[0] < 0)
		SKIP(return, "nothing is imported");
	ASSERT_EQ(0, alloc_buffers(q, self->dmabuf, q->size));
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	for (i = 0; i < BUFFERS; i++) {
		EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[i], &cpu_only));
		EXPECT_EQ(1, cpu_only);
	}
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_free(q));
}

/* A camera with both of its nodes, and what tests may need besides */
FIXTURE(camera)
{
	struct camera camera;
	struct vivid_queue q;
	struct vivid_queue meta;
	struct vivid_queue out;
	struct vivid_queue loop;
	int dmabuf[BUFFERS];
	bool stop;
};

FIXTURE_SETUP(camera)
{
	int i, ret;

	self->out.fd = -1;
	self->loop.fd = -1;
	for (i = 0; i < BUFFERS; i++)
		self->dmabuf[i] = -1;
	ret = camera_plug(&self->camera, false);
	if (ret == -ENODEV)
		SKIP(return, "no " CAMERA_NEEDS);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, open_video(&self->camera, &self->q, 0));
	ASSERT_EQ(0, open_meta(&self->camera, &self->meta));
}

FIXTURE_TEARDOWN(camera)
{
	int i;

	__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	close(self->loop.fd);
	close(self->out.fd);
	close(self->meta.fd);
	close(self->q.fd);
	camera_unplug(&self->camera);
	for (i = 0; i < BUFFERS; i++)
		close(self->dmabuf[i]);
}

/* Metadata has the header of each payload, and the frame's sequence number. */
TEST_F(camera, metadata)
{
	size_t part = CAMERA_PAYLOAD - CAMERA_HEADER, header, offset;
	struct vivid_queue *q = &self->q, *meta = &self->meta;
	struct v4l2_buffer buf, meta_buf;
	struct uvc_meta_buf *block;
	size_t length;
	int i;

	if (!has_errors())
		SKIP(return, "uvcvideo.nodrop is not 1");
	header = offsetof(struct uvc_meta_buf, length) + CAMERA_HEADER;
	ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, queue_all(meta));
	ASSERT_EQ(0, vivid_streamon(meta));
	ASSERT_EQ(0, vivid_streamon(q));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, camera_ask(&self->camera,
					i ? CAMERA_FRAME : CAMERA_ERROR, 1));
		ASSERT_EQ(i, wait_buffer(q, &buf));
		ASSERT_EQ(i, wait_buffer(meta, &meta_buf));
		EXPECT_EQ(!i, !!(meta_buf.flags & V4L2_BUF_FLAG_ERROR));
		EXPECT_EQ(buf.sequence, meta_buf.sequence);
		EXPECT_EQ(buf.timestamp.tv_sec, meta_buf.timestamp.tv_sec);
		EXPECT_EQ(buf.timestamp.tv_usec, meta_buf.timestamp.tv_usec);

		length = camera_max_frame(CAMERA_YUYV, 0);
		ASSERT_EQ((length + part - 1) / part * header,
			  meta_buf.bytesused);
		for (offset = 0; offset < meta_buf.bytesused;
		     offset += header) {
			block = meta->mem[i] + offset;
			EXPECT_EQ(CAMERA_HEADER, block->length);
			EXPECT_NE(0, block->flags & UVC_STREAM_PTS);
			EXPECT_NE(0, block->flags & UVC_STREAM_SCR);
			EXPECT_EQ(!i, !!(block->flags & UVC_STREAM_ERR));
		}
	}
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_streamoff(meta));
}

/* Devices see the frames, followed by what they had written themselves. */
TEST_F(camera, shadow)
{
	size_t whole = camera_max_frame(CAMERA_YUYV, SMALL);
	struct vivid_queue *q = &self->q, device = { };
	struct v4l2_buffer buf;
	uint32_t number;
	uint8_t *seen;
	int i;

	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);
	seen = malloc(whole + TAIL);
	ASSERT_NE(NULL, seen);
	for (i = 0; i < BUFFERS; i++) {
		self->dmabuf[i] = shadow_heap_alloc(whole + TAIL);
		ASSERT_GE(self->dmabuf[i], 0);
	}
	ASSERT_EQ(0, camera_set_format(q, CAMERA_YUYV, SMALL));
	ASSERT_EQ(0, alloc_buffers(q, self->dmabuf, whole + TAIL));
	memset(seen, POISON, whole + TAIL);
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, shadow_device_write(self->dmabuf[i], seen,
						 whole + TAIL));
		ASSERT_EQ(0, vivid_qbuf_len(q, i, whole, 0));
	}
	number = camera_number(&self->camera);
	ASSERT_EQ(0, vivid_streamon(q));
	device.size = whole + TAIL;
	/* the last one is given back without a frame */
	for (i = 0; i < BUFFERS - 1; i++) {
		ASSERT_EQ(0, camera_ask(&self->camera, CAMERA_FRAME, 1));
		ASSERT_EQ(i, wait_buffer(q, &buf));
		EXPECT_TRUE(shadow_no_writer(self->dmabuf[i]));
		ASSERT_EQ(0, shadow_device_read(self->dmabuf[i], seen,
						whole + TAIL));
		device.mem[i] = seen;
		EXPECT_TRUE(is_frame(&device, i, 0, CAMERA_YUYV, SMALL,
				     number + i)) {
			TH_LOG("frame %d is%s what devices had before", i,
			       is_poison(seen, whole) ? "" : " not");
		}
	}
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_free(q));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, BUFFERS));
	for (i = 0; i < BUFFERS; i++)
		EXPECT_EQ(shadow_count(self->dmabuf[i], "begins"),
			  shadow_count(self->dmabuf[i], "ends"));
	free(seen);
}

/* Opens a node of the instance of vivid that maps imports for DMA. */
static int open_vivid(struct vivid_queue *q, enum v4l2_buf_type type,
		      unsigned int size)
{
	bool capture = type == V4L2_BUF_TYPE_VIDEO_CAPTURE;
	int ret;

	q->type = type;
	q->fd = vivid_open(capture ? "vivid-003-vid-cap" :
			   "vivid-003-vid-out");
	if (q->fd < 0)
		return q->fd;
	ret = capture ? vivid_set_input(q->fd, "HDMI") :
			vivid_set_output(q->fd, "HDMI");
	if (!ret)
		ret = vivid_set_timings(q->fd);
	if (!ret)
		ret = camera_set_format(q, CAMERA_YUYV, size);

	return ret;
}

/* A device outputs the buffers that the camera has exported. */
TEST_F_TIMEOUT(camera, exported, 60)
{
	struct vivid_queue *q = &self->q, *out = &self->out;
	struct vivid_queue *loop = &self->loop;
	uint32_t first, next = 0, n;
	unsigned int other = 0;
	struct v4l2_buffer buf;
	bool seen = false;
	int i, ret;

	ret = open_vivid(out, V4L2_BUF_TYPE_VIDEO_OUTPUT, 0);
	if (ret == -ENODEV)
		SKIP(return, "no vivid with dma-contig");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, open_vivid(loop, V4L2_BUF_TYPE_VIDEO_CAPTURE, 0));
	ASSERT_EQ(0, vivid_set_menu(loop->fd, "HDMI 003-0 Is Connected To",
				    "Output HDMI 003-0"));
	ASSERT_EQ(0, vivid_set_menu(loop->fd, "OSD Text Mode", "None"));
	ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	for (i = 0; i < BUFFERS; i++) {
		self->dmabuf[i] = vivid_export(q, i);
		ASSERT_GE(self->dmabuf[i], 0);
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(out, BUFFERS, self->dmabuf, q->size));
	stay_on_cpu(_metadata);

	first = camera_number(&self->camera);
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, camera_ask(&self->camera, CAMERA_FRAME, 1));
		ASSERT_EQ(i, wait_buffer(q, &buf));
		ret = vivid_try_buffer(out, i, VIDIOC_QBUF);
		if (ret == -EFAULT)
			SKIP(return, "the bounce buffers are never contiguous");
		ASSERT_EQ(0, ret);
	}
	ASSERT_EQ(0, vivid_streamoff(q));

	ASSERT_EQ(0, vivid_alloc_mmap(loop, BUFFERS));
	ASSERT_EQ(0, queue_all(loop));
	ASSERT_EQ(0, vivid_streamon(out));
	ASSERT_EQ(0, vivid_streamon(loop));
	while (next < BUFFERS) {
		i = wait_buffer(loop, &buf);
		ASSERT_GE(i, 0);
		/* vivid shows something else first, and repeats the last */
		for (n = next ? next - 1 : 0; n < BUFFERS; n++)
			if (is_frame(loop, i, 0, CAMERA_YUYV, 0, first + n))
				break;
		if (n < BUFFERS) {
			seen = true;
			next = n + 1;
		} else {
			ASSERT_FALSE(seen);
			ASSERT_LT(++other, 240);
		}
		ASSERT_EQ(0, vivid_qbuf(loop, i));
	}
	ASSERT_EQ(0, vivid_streamoff(loop));
	ASSERT_EQ(0, vivid_streamoff(out));
	ASSERT_EQ(0, vivid_free(loop));
	ASSERT_EQ(0, vivid_free(out));
	ASSERT_EQ(0, vivid_free(q));
}

/*
 * A device has the buffer mapped for writing, but writes nothing. It must not
 * overwrite a frame when it unmaps. Only a bounce buffer can show that.
 */
static void fill_mapped(struct __test_metadata *_metadata,
			struct camera *camera, struct vivid_queue *q,
			struct vivid_queue *device)
{
	uint32_t number = camera_number(camera);
	struct v4l2_buffer buf;
	long used;
	int ret;

	ret = open_vivid(device, V4L2_BUF_TYPE_VIDEO_CAPTURE, SMALL);
	if (ret == -ENODEV)
		SKIP(return, "no vivid with dma-contig");
	ASSERT_EQ(0, ret);
	stay_on_cpu(_metadata);
	ASSERT_EQ(0, vivid_alloc_dmabuf(device, BUFFERS, device->dmabuf,
					q->size));
	ASSERT_EQ(0, vivid_poison(device, 0));
	used = bounce_used();
	ASSERT_EQ(0, vivid_try_buffer(device, 0, VIDIOC_QBUF));
	ASSERT_EQ(0, vivid_streamoff(device));
	if (bounce_used() <= used)
		SKIP(return, "dma-contig needs no bounce buffer");

	ASSERT_EQ(0, vivid_qbuf(q, 0));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, camera_ask(camera, CAMERA_FRAME, 1));
	ASSERT_EQ(0, wait_buffer(q, &buf));
	EXPECT_TRUE(is_frame(q, 0, 0, CAMERA_YUYV, SMALL, number));
	ASSERT_EQ(0, vivid_free(device));
	EXPECT_TRUE(is_frame(q, 0, 0, CAMERA_YUYV, SMALL, number)) {
		TH_LOG("the frame is%s what the device had",
		       is_poison(q->mem[0], q->size) ? "" : " not");
	}
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_free(q));
}

TEST_F_TIMEOUT(camera, exported_mapped, 60)
{
	struct vivid_queue *q = &self->q;
	int i;

	ASSERT_EQ(0, camera_set_format(q, CAMERA_YUYV, SMALL));
	ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	self->dmabuf[0] = vivid_export(q, 0);
	ASSERT_GE(self->dmabuf[0], 0);
	for (i = 0; i < BUFFERS; i++)
		self->out.dmabuf[i] = self->dmabuf[0];
	fill_mapped(_metadata, &self->camera, q, &self->out);
}

TEST_F_TIMEOUT(camera, imported_mapped, 60)
{
	struct vivid_queue *q = &self->q;
	int both[BUFFERS], i;

	ASSERT_EQ(0, camera_set_format(q, CAMERA_YUYV, SMALL));
	self->dmabuf[0] = system_heap_alloc(q->size);
	if (self->dmabuf[0] == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_GE(self->dmabuf[0], 0);
	for (i = 0; i < BUFFERS; i++) {
		both[i] = self->dmabuf[0];
		self->out.dmabuf[i] = self->dmabuf[0];
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(q, BUFFERS, both, q->size));
	fill_mapped(_metadata, &self->camera, q, &self->out);
}

/* Takes frames and gives the buffers back, until it is told to stop. */
struct viewer {
	struct camera *camera;
	struct vivid_queue *q;
	bool stop;
	bool gave_up;
	int ret;
};

static void *view(void *arg)
{
	struct viewer *v = arg;
	uint32_t first = camera_number(v->camera);
	struct v4l2_buffer buf;

	v->ret = camera_ask(v->camera, CAMERA_FRAME, BUFFERS);
	while (v->ret >= 0 && !__atomic_load_n(&v->stop, __ATOMIC_RELAXED)) {
		v->ret = wait_buffer(v->q, &buf);
		if (v->ret < 0)
			break;
		if (!is_frame(v->q, v->ret, 0, CAMERA_YUYV, SMALL,
			      first + buf.sequence))
			v->ret = -EBADMSG;
		else if (vivid_qbuf(v->q, v->ret) ||
			 camera_ask(v->camera, CAMERA_FRAME, 1))
			v->ret = -EIO;
	}
	__atomic_store_n(&v->gave_up, true, __ATOMIC_RELAXED);

	return NULL;
}

#define ROUNDS		1000

/* The metadata is stopped and freed while frames and their headers arrive. */
TEST_F_TIMEOUT(camera, metadata_streamoff, 300)
{
	struct vivid_queue *q = &self->q, *meta = &self->meta;
	struct viewer viewer = { .camera = &self->camera, .q = q };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, camera_set_format(q, CAMERA_YUYV, SMALL));
	ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	ASSERT_EQ(0, queue_all(q));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, pthread_create(&thread, NULL, view, &viewer));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, queue_all(meta));
		ASSERT_EQ(0, vivid_streamon(meta));
		/* at once, or from time to time when one has been filled */
		while (i % 8 == 0 && !poll_queue(meta, 100))
			ASSERT_EQ(0, __atomic_load_n(&viewer.gave_up,
						     __ATOMIC_RELAXED));
		ASSERT_EQ(0, vivid_streamoff(meta));
		ASSERT_EQ(0, vivid_free(meta));
		ASSERT_EQ(0, vivid_alloc_mmap(meta, BUFFERS));
	}
	__atomic_store_n(&viewer.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_GE(viewer.ret, 0);
	ASSERT_EQ(0, vivid_streamoff(q));
}

/* Keeps workers off a CPU, but not interrupts or more urgent threads. */
static void *occupy(void *arg)
{
	bool *stop = arg;

	while (!__atomic_load_n(stop, __ATOMIC_RELAXED))
		;

	return NULL;
}

static int set_urgent(pthread_t thread, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return pthread_setschedparam(thread, SCHED_FIFO, &param);
}

/* A thread for each CPU of @cpus. Returns how many there are, or -errno. */
static int occupy_cpus(pthread_t *threads, const cpu_set_t *cpus, bool *stop)
{
	int i, count = 0, ret = 0;
	pthread_attr_t attr;
	cpu_set_t cpu;

	for (i = 0; !ret && i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, cpus))
			continue;
		CPU_ZERO(&cpu);
		CPU_SET(i, &cpu);
		pthread_attr_init(&attr);
		pthread_attr_setaffinity_np(&attr, sizeof(cpu), &cpu);
		ret = pthread_create(&threads[count], &attr, occupy, stop);
		pthread_attr_destroy(&attr);
		if (!ret)
			ret = set_urgent(threads[count++], 1);
	}

	return ret ? -ret : count;
}

/*
 * The camera fails, and all buffers are returned. Nothing may be written to
 * them from then on, not even by a worker that has yet to copy data.
 */
TEST_F_TIMEOUT(camera, stall, 60)
{
	static pthread_t threads[CPU_SETSIZE];
	struct vivid_queue *q = &self->q;
	struct v4l2_buffer buf;
	struct utsname name;
	cpu_set_t cpus;
	int i, busy;

	/* with PREEMPT_RT the timers of dummy_hcd are less urgent */
	ASSERT_EQ(0, uname(&name));
	if (strstr(name.version, "PREEMPT_RT"))
		SKIP(return, "threads keep interrupts from the CPU");
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(cpus), &cpus));
	ASSERT_EQ(0, camera_set_format(q, CAMERA_YUYV, SMALL));
	ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, poison(q, i));
		ASSERT_EQ(0, vivid_qbuf(q, i));
	}
	ASSERT_EQ(0, vivid_streamon(q));
	i = set_urgent(pthread_self(), 2);
	if (i == EPERM)
		SKIP(return, "no SCHED_FIFO");
	ASSERT_EQ(0, i);
	ASSERT_EQ(0, camera_set_urgent(&self->camera, 2));
	busy = occupy_cpus(threads, &cpus, &self->stop);
	ASSERT_LT(0, busy);
	ASSERT_EQ(0, camera_ask(&self->camera, CAMERA_HALF, 1));
	ASSERT_EQ(0, camera_ask(&self->camera, CAMERA_STALL, 1));
	/* the buffer with pending copies comes last, once these are done */
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_GE(wait_buffer(q, &buf), 0);
		EXPECT_NE(0, buf.flags & V4L2_BUF_FLAG_ERROR);
		ASSERT_EQ(0, poison(q, buf.index));
		if (i == BUFFERS - 2)
			__atomic_store_n(&self->stop, true, __ATOMIC_RELAXED);
	}
	for (i = 0; i < busy; i++)
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	ASSERT_EQ(0, vivid_streamoff(q));
	for (i = 0; i < BUFFERS; i++)
		EXPECT_TRUE(is_poison(q->mem[i], q->size));

	/* and then it works again */
	ASSERT_EQ(0, vivid_free(q));
	ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	take_frames(_metadata, &self->camera, q, CAMERA_YUYV, SMALL);
}

/* Is there still a dma-buf with this inode number? */
static bool is_left(ino_t wanted)
{
	unsigned long long ino;
	bool found = false;
	char line[256];
	FILE *bufinfo;

	bufinfo = fopen(DMABUF_INFO, "r");
	if (!bufinfo)
		return true;
	while (!found && fgets(line, sizeof(line), bufinfo))
		found = sscanf(line, "%*u %*x %*x %*u %*s %llu", &ino) == 1 &&
			ino == wanted;
	fclose(bufinfo);

	return found;
}

/* What is going on when the camera is unplugged */
struct situation {
	enum { PREPARED, QUEUED, STREAMING } state;
	enum camera_command command;
	unsigned int count;
	bool requeue;
	bool exported;
	bool fence;
	bool closed;
	bool isochronous;
};

struct unplugging {
	struct camera camera;
	struct vivid_queue q;
	struct vivid_queue meta;
	struct device device;
	int dmabuf[BUFFERS];
	void *mem[BUFFERS];
	ino_t ino[BUFFERS];
};

FIXTURE(unplug)
{
	struct unplugging all;
};

FIXTURE_VARIANT(unplug)
{
	struct situation situation;
};

FIXTURE_VARIANT_ADD(unplug, prepared) { { .state = PREPARED } };
FIXTURE_VARIANT_ADD(unplug, queued) { { .state = QUEUED } };
FIXTURE_VARIANT_ADD(unplug, waiting) { { .state = STREAMING } };

/* A buffer is filled in part. */
FIXTURE_VARIANT_ADD(unplug, half) { {
	.state = STREAMING, .command = CAMERA_HALF, .count = 1,
} };

/* Frames are copied, one after the other. */
FIXTURE_VARIANT_ADD(unplug, copying) { {
	.state = STREAMING, .count = MANY, .requeue = true,
} };

/* All buffers but the first one are held back for a fence. */
FIXTURE_VARIANT_ADD(unplug, fence) { {
	.state = STREAMING, .count = MANY, .fence = true,
} };

/* The camera's queue has the last references to the dma-bufs. */
FIXTURE_VARIANT_ADD(unplug, closed) { {
	.state = STREAMING, .count = MANY, .closed = true,
} };

/* The camera's own buffers are exported and mapped. */
FIXTURE_VARIANT_ADD(unplug, exported) { {
	.state = STREAMING, .count = MANY, .requeue = true, .exported = true,
} };

FIXTURE_VARIANT_ADD(unplug, isochronous) { {
	.state = STREAMING, .count = MANY, .requeue = true,
	.isochronous = true,
} };

FIXTURE_SETUP(unplug)
{
	struct v4l2_buffer buf = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct vivid_queue *q = &self->all.q;
	int ret;

	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);
	if (variant->situation.fence && access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");
	ret = system_heap_alloc(1);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_GE(ret, 0);
	close(ret);
	ret = camera_plug(&self->all.camera, variant->situation.isochronous);
	if (ret == -ENODEV)
		SKIP(return, "no " CAMERA_NEEDS);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, open_video(&self->all.camera, q, 0));
	ret = v4l2_ioctl(q->fd, VIDIOC_PREPARE_BUF, &buf);
	close(q->fd);
	camera_unplug(&self->all.camera);
	if (variant->situation.state == PREPARED && ret == -ENOTTY)
		SKIP(return, "no VIDIOC_PREPARE_BUF");
}

FIXTURE_TEARDOWN(unplug)
{
	camera_unplug(&self->all.camera);
}

/* All operations on the node fail without waiting. */
static void expect_gone(struct __test_metadata *_metadata,
			struct vivid_queue *q)
{
	struct v4l2_format format = { .type = q->type };
	struct v4l2_capability cap;
	struct pollfd pollfd = { .fd = q->fd, .events = POLLIN };

	EXPECT_EQ(-ENODEV, v4l2_ioctl(q->fd, VIDIOC_QUERYCAP, &cap));
	EXPECT_EQ(-ENODEV, v4l2_ioctl(q->fd, VIDIOC_G_FMT, &format));
	EXPECT_EQ(-ENODEV, buffer_state(q, 0));
	EXPECT_EQ(-ENODEV, vivid_try_buffer(q, 0, VIDIOC_PREPARE_BUF));
	EXPECT_EQ(-ENODEV, vivid_qbuf(q, 0));
	EXPECT_EQ(-ENODEV, take(q));
	EXPECT_EQ(-ENODEV, vivid_export(q, 0));
	EXPECT_EQ(-ENODEV, vivid_streamon(q));
	EXPECT_EQ(-ENODEV, vivid_streamoff(q));
	EXPECT_EQ(-ENODEV, vivid_reqbufs(q, 0));
	EXPECT_EQ(1, poll(&pollfd, 1, -1));
	EXPECT_NE(0, pollfd.revents & (POLLERR | POLLHUP));
}

/* Buffers for the camera, in imported dma-bufs or exported as such. */
static void alloc_unplug(struct __test_metadata *_metadata,
			 struct unplugging *self,
			 const struct situation *variant)
{
	struct vivid_queue *q = &self->q;
	struct stat st;
	int i;

	if (variant->exported)
		ASSERT_EQ(0, vivid_alloc_mmap(q, BUFFERS));
	for (i = 0; i < BUFFERS; i++) {
		if (variant->exported) {
			self->dmabuf[i] = vivid_export(q, i);
		} else {
			/* this heap also catches writes that are not ended */
			self->dmabuf[i] = shadow_heap_alloc(q->size);
			if (self->dmabuf[i] == -ENODEV)
				self->dmabuf[i] = system_heap_alloc(q->size);
		}
		ASSERT_GE(self->dmabuf[i], 0);
		ASSERT_EQ(0, fstat(self->dmabuf[i], &st));
		self->ino[i] = st.st_ino;
		self->mem[i] = mmap(NULL, q->size, PROT_READ | PROT_WRITE,
				    MAP_SHARED, self->dmabuf[i], 0);
		ASSERT_NE(MAP_FAILED, self->mem[i]);
	}
	if (!variant->exported)
		ASSERT_EQ(0, vivid_alloc_dmabuf(q, BUFFERS, self->dmabuf,
						q->size));
}

static void stream(struct __test_metadata *_metadata,
		   struct unplugging *self,
		   const struct situation *variant)
{
	struct vivid_queue *q = &self->q, *meta = &self->meta;
	struct v4l2_buffer buf;
	int i;

	ASSERT_EQ(0, queue_all(meta));
	ASSERT_EQ(0, vivid_streamon(meta));
	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(0, camera_ask(&self->camera, variant->command,
				variant->count));
	/* the host has the partial frame, but may not have copied it */
	while (variant->count == 1 && !camera_done(&self->camera))
		usleep(100);
	if (variant->count < MANY)
		return;
	for (i = 0; i == 0 || (variant->requeue && i < BUFFERS); i++) {
		ASSERT_GE(wait_buffer(q, &buf), 0);
		EXPECT_EQ(0, buf.flags & V4L2_BUF_FLAG_ERROR);
		if (variant->requeue)
			ASSERT_EQ(0, vivid_qbuf(q, buf.index));
	}
	if (variant->fence) {
		for (i = 1; i < BUFFERS; i++)
			expect_held(_metadata, q, i);
	}
}

/* Waits in DQBUF and in poll() until both report that the camera is gone. */
static void wait_gone(struct __test_metadata *_metadata,
		      struct unplugging *self,
		      const struct situation *variant)
{
	struct vivid_queue *q = &self->q, *meta = &self->meta;
	struct pollfd pollfd = { .fd = meta->fd, .events = POLLIN };
	struct v4l2_capability cap;
	struct v4l2_buffer buf;
	int ret;

	if (variant->state == STREAMING) {
		ASSERT_EQ(0, fcntl(q->fd, F_SETFL, 0));
		do {
			ret = take_buffer(q, &buf);
			if (variant->requeue && (!ret || ret == -EIO))
				vivid_qbuf(q, buf.index);
		} while (ret >= 0 || ret == -EIO);
		EXPECT_TRUE(ret == -EINVAL || ret == -ENODEV) {
			TH_LOG("DQBUF: %s", strerror(-ret));
		}
		do {
			ASSERT_EQ(1, poll(&pollfd, 1, -1));
			if (pollfd.revents & POLLIN)
				take(meta);
		} while (!(pollfd.revents & (POLLERR | POLLHUP)));
	}
	while (!v4l2_ioctl(q->fd, VIDIOC_QUERYCAP, &cap) ||
	       !v4l2_ioctl(meta->fd, VIDIOC_QUERYCAP, &cap))
		usleep(1000);
}

static void unplug(struct __test_metadata *_metadata,
		   struct unplugging *self,
		   const struct situation *variant, bool race)
{
	struct vivid_queue *q = &self->q, *meta = &self->meta;
	int i, cpu_only;

	memset(q, 0, sizeof(*q));
	memset(meta, 0, sizeof(*meta));
	/* fork before allocating, so that the camera inherits no dma-bufs */
	ASSERT_EQ(0, camera_plug(&self->camera, variant->isochronous));
	ASSERT_EQ(0, open_video(&self->camera, q, SMALL));
	alloc_unplug(_metadata, self, variant);
	if (variant->fence) {
		ASSERT_EQ(0, close(q->fd));
		ASSERT_EQ(0, start_device(&self->device));
		ASSERT_EQ(0, attach_writer(&self->device, FIRST,
					   self->dmabuf[1]));
		ASSERT_EQ(0, open_video(&self->camera, q, SMALL));
		q->memory = V4L2_MEMORY_DMABUF;
		ASSERT_EQ(0, vivid_reqbufs(q, BUFFERS));
	}
	ASSERT_EQ(0, open_meta(&self->camera, meta));

	for (i = 0; variant->state == PREPARED && i < BUFFERS; i++)
		ASSERT_EQ(0, vivid_try_buffer(q, i, VIDIOC_PREPARE_BUF));
	if (variant->state >= QUEUED)
		ASSERT_EQ(0, queue_all(q));
	for (i = 0; variant->closed && i < BUFFERS; i++) {
		munmap(self->mem[i], q->size);
		munmap(q->mem[i], q->size);
		close(self->dmabuf[i]);
	}
	if (variant->state == STREAMING)
		stream(_metadata, self, variant);

	/* a fence may signal at the same time, or later */
	if (variant->fence && race)
		ASSERT_EQ(0, ask(&self->device, SIGNAL, FIRST, -1, 0));
	ASSERT_EQ(0, kill(self->camera.pid, SIGKILL));
	wait_gone(_metadata, self, variant);
	camera_unplug(&self->camera);
	expect_gone(_metadata, q);
	expect_gone(_metadata, meta);
	if (variant->fence)
		EXPECT_EQ(0, race ? answer(&self->device) :
			     signal_fences(&self->device, FIRST));

	ASSERT_EQ(0, close(q->fd));
	for (i = 0; i < BUFFERS; i++) {
		munmap(meta->mem[i], meta->size);
		if (variant->closed)
			continue;
		munmap(q->mem[i], q->size);
		EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[i], &cpu_only));
		if (shadow_count(self->dmabuf[i], "begins") >= 0) {
			EXPECT_TRUE(shadow_no_writer(self->dmabuf[i]));
			EXPECT_EQ(shadow_count(self->dmabuf[i], "begins"),
				  shadow_count(self->dmabuf[i], "ends"));
		}
		/* it is still memory */
		ASSERT_EQ(0, sync_begin(self->dmabuf[i], DMA_BUF_SYNC_RW));
		memset(self->mem[i], i, q->size);
		EXPECT_TRUE(is_filled(self->mem[i], i, q->size));
		ASSERT_EQ(0, sync_end(self->dmabuf[i], DMA_BUF_SYNC_RW));
		munmap(self->mem[i], q->size);
		ASSERT_EQ(0, close(self->dmabuf[i]));
	}
	if (variant->fence)
		EXPECT_EQ(-ECANCELED, stop_device(&self->device));
	/* a worker may have to release what the driver put last */
	for (i = 0; i < BUFFERS; i++)
		while (is_left(self->ino[i]))
			usleep(1000);
	ASSERT_EQ(0, close(meta->fd));
}

TEST_F_TIMEOUT(unplug, times, 600)
{
	const char *text = getenv("UVC_UNPLUG_TIMES");
	int i, times = text ? atoi(text) : 2;

	ASSERT_LT(0, times);
	for (i = 0; i < times; i++)
		unplug(_metadata, &self->all, &variant->situation, i % 2);
	TH_LOG("unplugged %d times", times);
}

TEST_HARNESS_MAIN
