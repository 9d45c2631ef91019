// SPDX-License-Identifier: GPL-2.0
/*
 * Whether mem2mem devices that access their buffers with the CPU process them
 * when the fences of both have signalled, without being asked again, and do not
 * end a stream before that. See vivid_dmabuf_fence.c.
 *
 * That something has not happened shows when something else has: a job of
 * another file.
 *
 * Needs root, debugfs and sw_sync:
 *
 *	modprobe vim2m
 *	modprobe vicodec
 */

#include <arpa/inet.h>
#include <stdlib.h>

#include "../../kselftest_harness.h"
#include "dmabuf_fence.h"
#include "vivid.h"

/* vim2m: 16 bits per pixel, and both queues the same, so that it copies */
#define SIDE		128
#define M2M_SIZE	(SIDE * SIDE * 2)
#define M2M_COUNT	2

#define ROUNDS		200

static int open_vim2m(struct vivid_queue *out, struct vivid_queue *cap)
{
	int ret;

	out->type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	cap->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	out->fd = vivid_open("vim2m");
	if (out->fd >= 0 && !vivid_is_single_planar(out->fd)) {
		close(out->fd);
		out->fd = -ENODEV;
	}
	cap->fd = out->fd;
	if (out->fd < 0)
		return out->fd;

	ret = vivid_set_pix(out, V4L2_PIX_FMT_RGB565, SIDE, SIDE);

	return ret ? ret : vivid_set_pix(cap, V4L2_PIX_FMT_RGB565, SIDE, SIDE);
}

static int start_m2m(struct vivid_queue *out, struct vivid_queue *cap)
{
	int ret;

	ret = vivid_qbuf(out, 0);
	if (!ret)
		ret = vivid_qbuf(cap, 0);
	if (!ret)
		ret = vivid_streamon(out);

	return ret ? ret : vivid_streamon(cap);
}

static void unmap_buffers(struct vivid_queue *q)
{
	while (q->count)
		munmap(q->mem[--q->count], q->size);
}

/* A job of another file. The device runs jobs in the order of readiness. */
static int copy_elsewhere(void)
{
	struct vivid_queue out = { }, cap = { };
	int ret;

	ret = open_vim2m(&out, &cap);
	if (out.fd < 0)
		return ret;
	if (!ret)
		ret = vivid_alloc_mmap(&out, M2M_COUNT);
	if (!ret)
		ret = vivid_alloc_mmap(&cap, M2M_COUNT);
	if (!ret)
		ret = start_m2m(&out, &cap);
	if (!ret)
		ret = dequeue(&cap);
	unmap_buffers(&out);
	unmap_buffers(&cap);
	close(out.fd);

	return ret;
}

FIXTURE(m2m)
{
	struct vivid_queue out;
	struct vivid_queue cap;
	struct device device;
};

/* Which buffers have a fence, FIRST for OUTPUT, SECOND for CAPTURE */
FIXTURE_VARIANT(m2m)
{
	bool out;
	bool cap;
};

FIXTURE_VARIANT_ADD(m2m, output) {
	.out = true,
};

FIXTURE_VARIANT_ADD(m2m, capture) {
	.cap = true,
};

FIXTURE_VARIANT_ADD(m2m, output_then_capture) {
	.out = true,
	.cap = true,
};

FIXTURE_SETUP(m2m)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;
	int ret;

	memset(self, 0, sizeof(*self));
	out->fd = -1;
	out->size = M2M_SIZE;
	cap->size = M2M_SIZE;
	out->memory = V4L2_MEMORY_DMABUF;
	cap->memory = V4L2_MEMORY_DMABUF;
	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");

	ret = alloc_dmabufs(out, M2M_COUNT);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, alloc_dmabufs(cap, M2M_COUNT));
	ASSERT_EQ(0, start_device(&self->device));
	if (variant->out)
		ASSERT_EQ(0, attach_writer(&self->device, FIRST,
					   out->dmabuf[0]));
	if (variant->cap)
		ASSERT_EQ(0, attach_reader(&self->device, SECOND,
					   cap->dmabuf[0]));

	ret = open_vim2m(out, cap);
	if (ret == -ENODEV)
		SKIP(return, "no vim2m with the single-planar API");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vivid_reqbufs(out, M2M_COUNT));
	ASSERT_EQ(0, vivid_reqbufs(cap, M2M_COUNT));
}

FIXTURE_TEARDOWN(m2m)
{
	if (self->out.fd >= 0)
		close(self->out.fd);
	if (self->device.pid > 0)
		EXPECT_EQ(-ECANCELED, stop_device(&self->device));
}

/* The job comes when all fences have signalled, and with what is there then. */
static void expect_copy(struct __test_metadata *_metadata,
			struct vivid_queue *out, struct vivid_queue *cap)
{
	ASSERT_EQ(0, dequeue(cap));
	EXPECT_EQ(0, dequeue(out));
	EXPECT_EQ(0, memcmp(cap->mem[0], out->mem[0], M2M_SIZE));
	EXPECT_FALSE(is_poison(cap->mem[0], M2M_SIZE));
}

static void expect_no_copy(struct __test_metadata *_metadata,
			   struct vivid_queue *out, struct vivid_queue *cap)
{
	ASSERT_EQ(0, copy_elsewhere());
	expect_nothing(_metadata, out);
	expect_nothing(_metadata, cap);
	expect_held(_metadata, out, 0);
	expect_held(_metadata, cap, 0);
}

/* Signals the fences of the variant one by one. */
static void signal_m2m(struct __test_metadata *_metadata,
		       struct device *device, struct vivid_queue *out,
		       struct vivid_queue *cap, bool with_out, bool with_cap)
{
	expect_no_copy(_metadata, out, cap);
	fill_noise(out->mem[0], M2M_SIZE, 1);
	if (with_out)
		ASSERT_EQ(0, signal_fences(device, FIRST));
	if (with_out && with_cap) {
		ASSERT_EQ(0, copy_elsewhere());
		EXPECT_EQ(V4L2_BUF_FLAG_QUEUED, buffer_state(out, 0));
		expect_nothing(_metadata, cap);
		expect_held(_metadata, cap, 0);
	}
	if (with_cap)
		ASSERT_EQ(0, signal_fences(device, SECOND));
	expect_copy(_metadata, out, cap);
}

/* A job starts by itself when both its buffers are there. */
TEST_F_TIMEOUT(m2m, job, 60)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;

	ASSERT_EQ(0, start_m2m(out, cap));
	signal_m2m(_metadata, &self->device, out, cap, variant->out,
		   variant->cap);
}

TEST_F_TIMEOUT(m2m, streamoff, 60)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, start_m2m(out, cap));
		ASSERT_EQ(0, vivid_streamoff(i % 2 ? cap : out));
		ASSERT_EQ(0, vivid_streamoff(i % 2 ? out : cap));
		ASSERT_EQ(0, buffer_state(out, 0));
		ASSERT_EQ(0, buffer_state(cap, 0));
	}
	ASSERT_EQ(0, start_m2m(out, cap));
	signal_m2m(_metadata, &self->device, out, cap, variant->out,
		   variant->cap);
}

TEST_F_TIMEOUT(m2m, close, 60)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;

	ASSERT_EQ(0, start_m2m(out, cap));
	ASSERT_EQ(0, close(out->fd));
	out->fd = -1;
	ASSERT_EQ(0, copy_elsewhere());
	if (variant->out)
		EXPECT_TRUE(is_pending(out->dmabuf[0]));
	if (variant->cap)
		EXPECT_TRUE(is_pending(cap->dmabuf[0]));
}

/* The file is closed while a fence signals that starts a job. */
TEST_F_TIMEOUT(m2m, race, 120)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;
	int dmabuf = variant->cap ? cap->dmabuf[0] : out->dmabuf[0];
	int timeline = variant->cap ? SECOND : FIRST;
	int i;

	/* if both have a fence, leave that of CAPTURE */
	if (variant->out && variant->cap)
		ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, start_m2m(out, cap));
		ASSERT_EQ(0, ask(&self->device, SIGNAL, timeline, -1, 0));
		ASSERT_EQ(0, close(out->fd));
		ASSERT_EQ(0, answer(&self->device));

		ASSERT_EQ(0, open_vim2m(out, cap));
		ASSERT_EQ(0, vivid_reqbufs(out, M2M_COUNT));
		ASSERT_EQ(0, vivid_reqbufs(cap, M2M_COUNT));
		ASSERT_EQ(0, attach_writer(&self->device, timeline, dmabuf));
	}
}

/* A request is complete after the job, which comes by itself, too. */
TEST_F_TIMEOUT(m2m, request, 60)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;
	int request, media;

	media = vivid_open_media(out->fd);
	ASSERT_GE(media, 0);
	request = make_request(out, media, 0);
	ASSERT_GE(request, 0);
	ASSERT_EQ(0, vivid_qbuf(cap, 0));
	ASSERT_EQ(0, vivid_streamon(out));
	ASSERT_EQ(0, vivid_streamon(cap));
	ASSERT_EQ(0, queue_request(request));
	EXPECT_EQ(-EBUSY, reinit_request(request));
	EXPECT_FALSE(is_complete(request, 0));
	signal_m2m(_metadata, &self->device, out, cap, variant->out,
		   variant->cap);
	EXPECT_TRUE(is_complete(request, -1));
	EXPECT_EQ(0, reinit_request(request));
	close(request);
	close(media);
}

/* The device goes while buffers are held back, and while a job is run. */
TEST_F_TIMEOUT(m2m, unbind, 60)
{
	struct vivid_queue *out = &self->out, *cap = &self->cap;
	int ret, timeline = variant->cap ? SECOND : FIRST;

	ASSERT_EQ(0, start_m2m(out, cap));
	if (variant->out && variant->cap) {
		ASSERT_EQ(0, signal_fences(&self->device, FIRST));
		ASSERT_EQ(0, ask(&self->device, SIGNAL, SECOND, -1, 0));
	}
	EXPECT_EQ(0, write_driver("vim2m", "unbind", "vim2m.0"));
	EXPECT_EQ(-ENODEV, take(cap));
	close(out->fd);
	out->fd = -1;
	EXPECT_EQ(0, write_driver("vim2m", "bind", "vim2m.0"));
	if (variant->out && variant->cap)
		ret = answer(&self->device);
	else
		ret = signal_fences(&self->device, timeline);
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, copy_elsewhere());
}

/* vicodec: grey frames, one byte per pixel, and room for a coded one */
#define CODEC_WIDTH	640
#define CODEC_HEIGHT	360
#define CODEC_PIXELS	(CODEC_WIDTH * CODEC_HEIGHT)
#define CODEC_SIZE	1048576
#define CODEC_COUNT	3

#define CODED_FLAGS	(V4L2_FWHT_FL_PIXENC_RGB | \
			 V4L2_FWHT_FL_CHROMA_FULL_WIDTH | \
			 V4L2_FWHT_FL_CHROMA_FULL_HEIGHT | \
			 V4L2_FWHT_FL_I_FRAME | \
			 V4L2_FWHT_FL_LUMA_IS_UNCOMPRESSED)

/* What precedes a frame in a stream, all big-endian */
struct coded_header {
	uint32_t magic1;
	uint32_t magic2;
	uint32_t version;
	uint32_t width, height;
	uint32_t flags;
	uint32_t colorspace;
	uint32_t xfer_func;
	uint32_t ycbcr_enc;
	uint32_t quantization;
	uint32_t size;
};

struct codec {
	bool is_decoder;
	struct vivid_queue out;
	struct vivid_queue cap;
};

static int open_codec(struct codec *codec)
{
	struct vivid_queue *out = &codec->out, *cap = &codec->cap;
	int ret;

	out->type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	cap->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	out->fd = vivid_open(codec->is_decoder ? "stateful-decoder" :
						 "stateful-encoder");
	if (out->fd >= 0 && !vivid_is_single_planar(out->fd)) {
		close(out->fd);
		out->fd = -ENODEV;
	}
	cap->fd = out->fd;
	if (out->fd < 0)
		return out->fd;

	/* the other format follows, from this one or from the stream */
	ret = vivid_set_pix(out, codec->is_decoder ? V4L2_PIX_FMT_FWHT :
						     V4L2_PIX_FMT_GREY,
			    CODEC_WIDTH, CODEC_HEIGHT);

	return ret;
}

static size_t source_size(const struct codec *codec)
{
	return codec->is_decoder ? sizeof(struct coded_header) + CODEC_PIXELS :
				   CODEC_PIXELS;
}

/* Noise, which comes uncompressed to a decoder */
static void fill_source(struct codec *codec, unsigned int index)
{
	struct coded_header header = {
		.magic1 = 0x4f4f4f4f,
		.magic2 = 0xffffffff,
		.version = htonl(V4L2_FWHT_VERSION),
		.width = htonl(CODEC_WIDTH),
		.height = htonl(CODEC_HEIGHT),
		.flags = htonl(CODED_FLAGS),
		.size = htonl(CODEC_PIXELS),
	};
	char *mem = codec->out.mem[index];

	if (codec->is_decoder) {
		memcpy(mem, &header, sizeof(header));
		mem += sizeof(header);
	}
	fill_noise((uint32_t *)mem, CODEC_PIXELS, index + 1);
}

static int queue_source(struct codec *codec, unsigned int index)
{
	return vivid_qbuf_len(&codec->out, index, codec->out.size,
			      source_size(codec));
}

/* The first frame, with the first buffer of each queue */
static int code_first(struct codec *codec)
{
	struct vivid_queue *out = &codec->out, *cap = &codec->cap;
	int ret;

	ret = vivid_streamon(out);
	fill_source(codec, 0);
	if (!ret)
		ret = queue_source(codec, 0);
	if (!ret)
		ret = vivid_alloc_mmap(cap, CODEC_COUNT);
	if (!ret)
		ret = vivid_qbuf(cap, 0);
	if (!ret)
		ret = vivid_streamon(cap);
	if (!ret)
		ret = dequeue(cap);

	return ret ? ret : dequeue(out);
}

/* The same in another file: the device runs one job after the other. */
static int code_elsewhere(bool is_decoder)
{
	struct codec other = { .is_decoder = is_decoder };
	int ret;

	ret = open_codec(&other);
	if (other.out.fd < 0)
		return ret;
	if (!ret)
		ret = vivid_alloc_mmap(&other.out, CODEC_COUNT);
	if (!ret)
		ret = code_first(&other);
	unmap_buffers(&other.out);
	unmap_buffers(&other.cap);
	close(other.out.fd);

	return ret;
}

static int stop_codec(struct codec *codec)
{
	struct v4l2_encoder_cmd enc = { .cmd = V4L2_ENC_CMD_STOP };
	struct v4l2_decoder_cmd dec = { .cmd = V4L2_DEC_CMD_STOP };

	return codec->is_decoder ?
	       v4l2_ioctl(codec->out.fd, VIDIOC_DECODER_CMD, &dec) :
	       v4l2_ioctl(codec->out.fd, VIDIOC_ENCODER_CMD, &enc);
}

/*
 * All OUTPUT buffers but the first have a fence, each its own. CAPTURE is with
 * buffers of the device; there are dma-bufs for it as well, which are idle.
 */
static void open_drain(struct __test_metadata *_metadata, struct codec *codec,
		       struct vivid_queue *frames, struct device *device)
{
	struct vivid_queue *out = &codec->out;
	int i, ret;

	out->fd = -1;
	out->size = CODEC_SIZE;
	out->memory = V4L2_MEMORY_DMABUF;
	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");

	ret = alloc_dmabufs(out, CODEC_COUNT);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	frames->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	frames->size = CODEC_SIZE;
	frames->memory = V4L2_MEMORY_DMABUF;
	ASSERT_EQ(0, alloc_dmabufs(frames, CODEC_COUNT));
	ASSERT_EQ(0, start_device(device));
	for (i = 1; i < CODEC_COUNT; i++)
		ASSERT_EQ(0, attach_writer(device, i, out->dmabuf[i]));

	ret = open_codec(codec);
	if (ret == -ENODEV)
		SKIP(return, "no vicodec with the single-planar API");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vivid_reqbufs(out, CODEC_COUNT));
}

static void close_drain(struct __test_metadata *_metadata, struct codec *codec,
			struct device *device)
{
	if (codec->out.fd >= 0)
		close(codec->out.fd);
	if (device->pid > 0)
		EXPECT_EQ(-ECANCELED, stop_device(device));
}

static int subscribe(struct codec *codec, uint32_t event)
{
	struct v4l2_event_subscription subscription = { .type = event };

	return v4l2_ioctl(codec->out.fd, VIDIOC_SUBSCRIBE_EVENT, &subscription);
}

/* Returns the next event, or -errno: -ENOENT if there is none. */
static int take_event(struct codec *codec)
{
	struct v4l2_event event = { };
	int ret;

	ret = v4l2_ioctl(codec->out.fd, VIDIOC_DQEVENT, &event);

	return ret ? ret : (int)event.type;
}

/* A request with buffers of two files is for both. */
TEST(two_files)
{
	struct vivid_queue out[2] = { }, cap[2] = { };
	int i, media, request, ret;

	for (i = 0; i < 2; i++) {
		ret = open_vim2m(&out[i], &cap[i]);
		if (ret == -ENODEV)
			SKIP(return, "no vim2m");
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, vivid_alloc_mmap(&out[i], M2M_COUNT));
		ASSERT_EQ(0, vivid_alloc_mmap(&cap[i], M2M_COUNT));
		ASSERT_EQ(0, vivid_qbuf(&cap[i], 0));
		ASSERT_EQ(0, vivid_streamon(&out[i]));
		ASSERT_EQ(0, vivid_streamon(&cap[i]));
	}
	media = vivid_open_media(out[0].fd);
	ASSERT_GE(media, 0);
	ASSERT_EQ(0, v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC, &request));
	for (i = 0; i < 2; i++) {
		out[i].request = request;
		ASSERT_EQ(0, vivid_qbuf(&out[i], 0));
	}
	ASSERT_EQ(0, queue_request(request));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, dequeue(&cap[i]));
	EXPECT_TRUE(is_complete(request, -1));

	for (i = 0; i < 2; i++) {
		unmap_buffers(&out[i]);
		unmap_buffers(&cap[i]);
		close(out[i].fd);
	}
	close(request);
	close(media);
}

FIXTURE(drain)
{
	struct codec codec;
	struct vivid_queue frames;
	struct device device;
};

FIXTURE_VARIANT(drain)
{
	bool is_decoder;
};

FIXTURE_VARIANT_ADD(drain, encoder) {
	.is_decoder = false,
};

FIXTURE_VARIANT_ADD(drain, decoder) {
	.is_decoder = true,
};

FIXTURE_SETUP(drain)
{
	memset(self, 0, sizeof(*self));
	self->codec.is_decoder = variant->is_decoder;
	open_drain(_metadata, &self->codec, &self->frames, &self->device);
}

FIXTURE_TEARDOWN(drain)
{
	close_drain(_metadata, &self->codec, &self->device);
}

/* Nothing comes, and that is not the end. */
static void expect_not_coded(struct __test_metadata *_metadata,
			     struct codec *codec, unsigned int index)
{
	ASSERT_EQ(0, code_elsewhere(codec->is_decoder));
	expect_nothing(_metadata, &codec->out);
	expect_nothing(_metadata, &codec->cap);
	expect_held(_metadata, &codec->out, index);
}

/* A frame comes from the buffer @index, and it is the last one or not. */
static void expect_coded(struct __test_metadata *_metadata,
			 struct codec *codec, unsigned int index, bool last)
{
	struct vivid_queue *out = &codec->out, *cap = &codec->cap;
	struct v4l2_buffer buf;
	char *data;
	int ret;

	ASSERT_EQ(index, dequeue(out));
	ASSERT_EQ(1, poll_queue(cap, -1));
	ret = take_buffer(cap, &buf);
	ASSERT_GE(ret, 0);
	EXPECT_EQ(last, !!(buf.flags & V4L2_BUF_FLAG_LAST));
	EXPECT_GT(buf.bytesused, 0);
	if (codec->is_decoder) {
		data = out->mem[index];
		EXPECT_EQ(0, memcmp(cap->mem[ret],
				    data + sizeof(struct coded_header),
				    CODEC_PIXELS));
	}
	if (last)
		EXPECT_EQ(-EPIPE, take(cap));
}

/* Something is ready, but no frame to put it in, and it is not the last one. */
TEST_F_TIMEOUT(drain, stop_behind, 60)
{
	struct codec *codec = &self->codec;

	ASSERT_EQ(0, code_first(codec));
	ASSERT_EQ(0, queue_source(codec, 0));
	ASSERT_EQ(0, queue_source(codec, 1));
	ASSERT_EQ(0, stop_codec(codec));
	ASSERT_EQ(0, vivid_qbuf(&codec->cap, 1));
	ASSERT_EQ(0, vivid_qbuf(&codec->cap, 2));
	expect_coded(_metadata, codec, 0, false);
	expect_not_coded(_metadata, codec, 1);

	fill_source(codec, 1);
	ASSERT_EQ(0, signal_fences(&self->device, 1));
	expect_coded(_metadata, codec, 1, true);
}

/* Two are held back, and only the second is the last one. */
TEST_F_TIMEOUT(drain, stop_two, 60)
{
	struct codec *codec = &self->codec;

	ASSERT_EQ(0, code_first(codec));
	ASSERT_EQ(0, vivid_qbuf(&codec->cap, 1));
	ASSERT_EQ(0, vivid_qbuf(&codec->cap, 2));
	ASSERT_EQ(0, queue_source(codec, 1));
	ASSERT_EQ(0, queue_source(codec, 2));
	ASSERT_EQ(0, subscribe(codec, V4L2_EVENT_EOS));
	ASSERT_EQ(0, stop_codec(codec));
	expect_not_coded(_metadata, codec, 1);
	fill_source(codec, 1);
	ASSERT_EQ(0, signal_fences(&self->device, 1));
	expect_coded(_metadata, codec, 1, false);
	expect_not_coded(_metadata, codec, 2);
	EXPECT_EQ(-ENOENT, take_event(codec));

	fill_source(codec, 2);
	ASSERT_EQ(0, signal_fences(&self->device, 2));
	expect_coded(_metadata, codec, 2, true);
	EXPECT_EQ(V4L2_EVENT_EOS, take_event(codec));
}

/* If the last source is taken back the end comes, and without a frame. */
TEST_F_TIMEOUT(drain, streamoff, 60)
{
	struct codec *codec = &self->codec;
	struct v4l2_buffer buf;

	ASSERT_EQ(0, code_first(codec));
	ASSERT_EQ(0, vivid_qbuf(&codec->cap, 1));
	ASSERT_EQ(0, queue_source(codec, 1));
	ASSERT_EQ(0, stop_codec(codec));
	expect_not_coded(_metadata, codec, 1);
	ASSERT_EQ(0, vivid_streamoff(&codec->out));
	ASSERT_EQ(1, poll_queue(&codec->cap, -1));
	ASSERT_EQ(1, take_buffer(&codec->cap, &buf));
	EXPECT_TRUE(buf.flags & V4L2_BUF_FLAG_LAST);
	EXPECT_EQ(0, buf.bytesused);
	EXPECT_EQ(-EPIPE, take(&codec->cap));
}

/* All has been coded. The end needs a buffer, and that is held back. */
TEST_F_TIMEOUT(drain, stop_capture, 60)
{
	struct vivid_queue *frames = &self->frames;
	struct codec *codec = &self->codec;
	struct v4l2_buffer buf;

	ASSERT_EQ(0, code_first(codec));
	ASSERT_EQ(0, vivid_streamoff(&codec->cap));
	ASSERT_EQ(0, vivid_free(&codec->cap));
	frames->fd = codec->cap.fd;
	ASSERT_EQ(0, vivid_reqbufs(frames, CODEC_COUNT));
	ASSERT_EQ(0, attach_reader(&self->device, FIRST, frames->dmabuf[0]));
	ASSERT_EQ(0, vivid_qbuf(frames, 0));
	ASSERT_EQ(0, vivid_streamon(frames));
	ASSERT_EQ(0, stop_codec(codec));
	ASSERT_EQ(0, code_elsewhere(codec->is_decoder));
	expect_nothing(_metadata, frames);
	expect_held(_metadata, frames, 0);

	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	ASSERT_EQ(1, poll_queue(frames, -1));
	ASSERT_EQ(0, take_buffer(frames, &buf));
	EXPECT_TRUE(buf.flags & V4L2_BUF_FLAG_LAST);
	EXPECT_EQ(0, buf.bytesused);
	EXPECT_EQ(-EPIPE, take(frames));
}

FIXTURE(decoder)
{
	struct codec codec;
	struct vivid_queue frames;
	struct device device;
};

FIXTURE_SETUP(decoder)
{
	memset(self, 0, sizeof(*self));
	self->codec.is_decoder = true;
	open_drain(_metadata, &self->codec, &self->frames, &self->device);
}

FIXTURE_TEARDOWN(decoder)
{
	close_drain(_metadata, &self->codec, &self->device);
}

/* The header of a stream is read only when it is there. */
TEST_F_TIMEOUT(decoder, header, 60)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct codec *codec = &self->codec;
	struct pollfd pollfd = { .fd = codec->out.fd, .events = POLLPRI };

	ASSERT_EQ(0, subscribe(codec, V4L2_EVENT_SOURCE_CHANGE));
	ASSERT_EQ(0, vivid_streamon(&codec->out));
	ASSERT_EQ(0, queue_source(codec, 1));
	ASSERT_EQ(0, code_elsewhere(true));
	EXPECT_EQ(-ENOENT, take_event(codec));
	expect_held(_metadata, &codec->out, 1);

	fill_source(codec, 1);
	ASSERT_EQ(0, signal_fences(&self->device, 1));
	ASSERT_EQ(1, poll(&pollfd, 1, -1));
	EXPECT_EQ(V4L2_EVENT_SOURCE_CHANGE, take_event(codec));
	ASSERT_EQ(0, v4l2_ioctl(pollfd.fd, VIDIOC_G_FMT, &format));
	EXPECT_EQ(CODEC_WIDTH, format.fmt.pix.width);
	EXPECT_EQ(CODEC_HEIGHT, format.fmt.pix.height);
}

/* The stream ends, too, if its last buffer turns out to have no header. */
TEST_F_TIMEOUT(decoder, no_header, 60)
{
	struct codec *codec = &self->codec;
	struct v4l2_buffer buf;

	ASSERT_EQ(0, vivid_streamon(&codec->out));
	ASSERT_EQ(0, queue_source(codec, 1));
	ASSERT_EQ(0, stop_codec(codec));
	ASSERT_EQ(0, code_elsewhere(true));
	expect_held(_metadata, &codec->out, 1);

	ASSERT_EQ(0, signal_fences(&self->device, 1));
	ASSERT_EQ(1, poll_queue(&codec->out, -1));
	ASSERT_EQ(0, vivid_alloc_mmap(&codec->cap, CODEC_COUNT));
	ASSERT_EQ(0, subscribe(codec, V4L2_EVENT_EOS));
	ASSERT_EQ(0, vivid_streamon(&codec->cap));
	ASSERT_EQ(0, vivid_qbuf(&codec->cap, 0));
	ASSERT_EQ(1, poll_queue(&codec->cap, -1));
	ASSERT_EQ(0, take_buffer(&codec->cap, &buf));
	EXPECT_TRUE(buf.flags & V4L2_BUF_FLAG_LAST);
	EXPECT_EQ(0, buf.bytesused);
	EXPECT_EQ(V4L2_EVENT_EOS, take_event(codec));
}

TEST_HARNESS_MAIN
