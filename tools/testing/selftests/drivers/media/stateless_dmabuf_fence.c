// SPDX-License-Identifier: GPL-2.0
/*
 * Whether the stateless decoders vicodec and visl decode a frame from imported
 * dma-bufs when the fences of these have signalled, without being asked again,
 * and whether that can be stopped at any time.
 *
 * Needs root, debugfs and sw_sync:
 *
 *	modprobe vicodec
 *	modprobe visl
 */

#include <arpa/inet.h>
#include <stdlib.h>

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "dmabuf_fence.h"
#include "vivid.h"

/* FWHT: grey for vicodec. visl draws a picture of its own. */
#define WIDTH		640
#define HEIGHT		384
#define PIXELS		(WIDTH * HEIGHT)
#define SIZE		1048576
#define FLAGS		(V4L2_FWHT_FL_PIXENC_RGB | V4L2_FWHT_FL_I_FRAME | \
			 V4L2_FWHT_FL_CHROMA_FULL_WIDTH | \
			 V4L2_FWHT_FL_CHROMA_FULL_HEIGHT | \
			 V4L2_FWHT_FL_LUMA_IS_UNCOMPRESSED)

/* A block of a P-frame whose 64 coefficients are zero */
#define UNCHANGED	htonl(0x8000000f)
#define COPY_SIZE	(PIXELS / 64 * sizeof(uint32_t))

#define ROUNDS		200

enum { OUT, CAP, QUEUES };

#define BUFFERS		2

struct decoder {
	int fd;
	int media;
	bool mplane;
	bool copy;	/* by a P-frame that changes nothing */
	int dmabuf[QUEUES][BUFFERS];
	uint8_t *mem[QUEUES][BUFFERS];
};

static uint32_t type_of(struct decoder *dec, int queue)
{
	if (dec->mplane)
		return queue == OUT ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE :
				      V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;

	return queue == OUT ? V4L2_BUF_TYPE_VIDEO_OUTPUT :
			      V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

static int set_format(struct decoder *dec, int queue, uint32_t pixelformat)
{
	struct v4l2_format format = { .type = type_of(dec, queue) };

	if (dec->mplane) {
		format.fmt.pix_mp.width = WIDTH;
		format.fmt.pix_mp.height = HEIGHT;
		format.fmt.pix_mp.pixelformat = pixelformat;
	} else {
		format.fmt.pix.width = WIDTH;
		format.fmt.pix.height = HEIGHT;
		format.fmt.pix.pixelformat = pixelformat;
	}

	return v4l2_ioctl(dec->fd, VIDIOC_S_FMT, &format);
}

/* Of OUTPUT buffers all are slices of the same frame. */
static int buffer_ioctl(struct decoder *dec, int queue, unsigned int index,
			unsigned long cmd, uint32_t flags, int request)
{
	uint32_t bytesused = dec->copy ? COPY_SIZE : PIXELS;
	struct v4l2_plane plane = {
		.m.fd = dec->dmabuf[queue][index],
		.length = SIZE,
		.bytesused = queue == OUT ? bytesused : 0,
	};
	struct v4l2_buffer buf = {
		.index = index,
		.type = type_of(dec, queue),
		.memory = V4L2_MEMORY_DMABUF,
		.field = V4L2_FIELD_NONE,
		.flags = flags,
		.request_fd = request,
		.timestamp.tv_usec = dec->copy ? 2 : 1,
	};
	int ret;

	if (dec->mplane) {
		buf.m.planes = &plane;
		buf.length = 1;
	} else {
		buf.m.fd = dec->dmabuf[queue][index];
		buf.length = SIZE;
		buf.bytesused = plane.bytesused;
	}
	ret = v4l2_ioctl(dec->fd, cmd, &buf);
	if (ret || cmd != VIDIOC_DQBUF)
		return ret;

	return buf.flags & V4L2_BUF_FLAG_ERROR ? -EIO : (int)buf.index;
}

static int qbuf(struct decoder *dec, int queue, unsigned int index)
{
	return buffer_ioctl(dec, queue, index, VIDIOC_QBUF, 0, 0);
}

static int dqbuf(struct decoder *dec, int queue)
{
	return buffer_ioctl(dec, queue, 0, VIDIOC_DQBUF, 0, 0);
}

static int stream(struct decoder *dec, int queue, bool on)
{
	int type = type_of(dec, queue);

	return v4l2_ioctl(dec->fd, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF,
			  &type);
}

static int request_buffers(struct decoder *dec, int queue)
{
	struct v4l2_requestbuffers req = {
		.count = BUFFERS,
		.type = type_of(dec, queue),
		.memory = V4L2_MEMORY_DMABUF,
	};

	return v4l2_ioctl(dec->fd, VIDIOC_REQBUFS, &req);
}

/* Opens the decoder as dec->fd, with both queues streaming. */
static int open_decoder(struct decoder *dec)
{
	int queue, ret;

	dec->fd = vivid_open(dec->mplane ? "visl" : "stateless-decoder");
	if (dec->fd < 0)
		return dec->fd;

	ret = set_format(dec, OUT, V4L2_PIX_FMT_FWHT_STATELESS);
	if (!ret)
		ret = set_format(dec, CAP, dec->mplane ? V4L2_PIX_FMT_NV12 :
							 V4L2_PIX_FMT_GREY);
	for (queue = OUT; !ret && queue < QUEUES; queue++) {
		ret = request_buffers(dec, queue);
		if (!ret)
			ret = stream(dec, queue, true);
	}

	return ret;
}

/* Queues a request with an OUTPUT buffer. Returns the request, or -errno. */
static int decode_slice(struct decoder *dec, unsigned int index, uint32_t flags)
{
	struct v4l2_ctrl_fwht_params params = {
		.version = V4L2_FWHT_VERSION,
		.width = WIDTH,
		.height = HEIGHT,
		.flags = FLAGS,
	};
	int ret, request;

	if (dec->copy) {
		params.flags &= ~(V4L2_FWHT_FL_I_FRAME |
				  V4L2_FWHT_FL_LUMA_IS_UNCOMPRESSED);
		params.backward_ref_ts = 1000;
	}
	ret = v4l2_ioctl(dec->media, MEDIA_IOC_REQUEST_ALLOC, &request);
	if (ret)
		return ret;
	ret = vivid_set_fwht_params(dec->fd, request, &params);
	if (!ret)
		ret = buffer_ioctl(dec, OUT, index, VIDIOC_QBUF,
				   flags | V4L2_BUF_FLAG_REQUEST_FD, request);
	if (!ret)
		ret = queue_request(request);
	if (ret)
		close(request);

	return ret ? ret : request;
}

static int alloc_buffers(struct decoder *dec)
{
	int i, fd, queue;
	void *mem;

	for (queue = OUT; queue < QUEUES; queue++) {
		for (i = 0; i < BUFFERS; i++) {
			fd = system_heap_alloc(SIZE);
			if (fd < 0)
				return fd;
			mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
				   MAP_SHARED, fd, 0);
			if (mem == MAP_FAILED)
				return -errno;
			memset(mem, POISON, SIZE);
			dec->dmabuf[queue][i] = fd;
			dec->mem[queue][i] = mem;
		}
	}

	return 0;
}

/* Decodes a frame in another file: the device runs one job after the other. */
static int decode_elsewhere(bool mplane)
{
	struct decoder dec = { .mplane = mplane };
	int i, queue, request, ret;

	ret = open_decoder(&dec);
	if (ret)
		return ret;
	dec.media = vivid_open_media(dec.fd);
	ret = alloc_buffers(&dec);
	if (!ret)
		ret = qbuf(&dec, CAP, 0);
	if (!ret) {
		request = decode_slice(&dec, 0, 0);
		if (request < 0)
			ret = request;
		else if (!is_complete(request, -1))
			ret = -EIO;
	}
	if (!ret) {
		close(request);
		ret = dqbuf(&dec, CAP);
	}
	for (queue = OUT; queue < QUEUES; queue++) {
		for (i = 0; i < BUFFERS; i++) {
			munmap(dec.mem[queue][i], SIZE);
			close(dec.dmabuf[queue][i]);
		}
	}
	close(dec.media);
	close(dec.fd);

	return ret;
}

FIXTURE(stateless)
{
	struct decoder dec;
	struct device device;
};

FIXTURE_VARIANT(stateless)
{
	bool mplane;
};

FIXTURE_VARIANT_ADD(stateless, vicodec) {
	.mplane = false,
};

FIXTURE_VARIANT_ADD(stateless, visl) {
	.mplane = true,
};

/* The first buffers have a fence: FIRST for OUTPUT, SECOND for CAPTURE. */
FIXTURE_SETUP(stateless)
{
	struct decoder *dec = &self->dec;
	int ret;

	memset(self, 0, sizeof(*self));
	dec->mplane = variant->mplane;
	dec->fd = -1;
	dec->media = -1;
	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");

	ret = alloc_buffers(dec);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, start_device(&self->device));
	ASSERT_EQ(0, attach_writer(&self->device, FIRST, dec->dmabuf[OUT][0]));
	ASSERT_EQ(0, attach_reader(&self->device, SECOND, dec->dmabuf[CAP][0]));

	ret = open_decoder(dec);
	if (ret == -ENODEV)
		SKIP(return, "no such decoder");
	ASSERT_EQ(0, ret);
	dec->media = vivid_open_media(dec->fd);
	ASSERT_GE(dec->media, 0);
}

FIXTURE_TEARDOWN(stateless)
{
	close(self->dec.fd);
	close(self->dec.media);
	if (self->device.pid > 0)
		EXPECT_EQ(-ECANCELED, stop_device(&self->device));
}

/* A frame is decoded when both its buffers are there, and not before. */
TEST_F_TIMEOUT(stateless, decode, 60)
{
	struct decoder *dec = &self->dec;
	int request;

	ASSERT_EQ(0, qbuf(dec, CAP, 0));
	request = decode_slice(dec, 0, 0);
	ASSERT_GE(request, 0);
	EXPECT_EQ(-EBUSY, reinit_request(request));
	fill_noise((uint32_t *)dec->mem[OUT][0], PIXELS, 1);
	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	ASSERT_EQ(0, decode_elsewhere(dec->mplane));
	ASSERT_FALSE(is_complete(request, 0));
	ASSERT_EQ(-EAGAIN, dqbuf(dec, CAP));
	EXPECT_TRUE(is_poison(dec->mem[CAP][0], SIZE));

	ASSERT_EQ(0, signal_fences(&self->device, SECOND));
	ASSERT_TRUE(is_complete(request, -1));
	EXPECT_EQ(0, dqbuf(dec, OUT));
	EXPECT_EQ(0, dqbuf(dec, CAP));
	EXPECT_FALSE(is_poison(dec->mem[CAP][0], PIXELS));
	if (!variant->mplane)
		EXPECT_EQ(0, memcmp(dec->mem[CAP][0], dec->mem[OUT][0],
				    PIXELS));
	close(request);
}

static void decode_to(struct __test_metadata *_metadata, struct decoder *dec,
		      int index)
{
	int request;

	ASSERT_EQ(0, qbuf(dec, CAP, index));
	request = decode_slice(dec, 1, 0);
	ASSERT_GE(request, 0);
	ASSERT_TRUE(is_complete(request, -1));
	close(request);
	ASSERT_EQ(1, dqbuf(dec, OUT));
	ASSERT_EQ(index, dqbuf(dec, CAP));
}

/* Nobody waits for a device that is to write to the reference of a frame. */
TEST_F_TIMEOUT(stateless, reference, 60)
{
	struct decoder *dec = &self->dec;
	uint32_t *data = (uint32_t *)dec->mem[OUT][1];
	int i;

	fill_noise(data, PIXELS, 1);
	decode_to(_metadata, dec, 1);
	ASSERT_EQ(0, signal_fences(&self->device, SECOND));
	ASSERT_EQ(0, attach_writer(&self->device, FIRST, dec->dmabuf[CAP][1]));

	dec->copy = true;
	for (i = 0; i < PIXELS / 64; i++)
		data[i] = UNCHANGED;
	decode_to(_metadata, dec, 0);
	EXPECT_TRUE(is_pending(dec->dmabuf[CAP][1]));
	EXPECT_FALSE(is_poison(dec->mem[CAP][1], PIXELS));
	if (!variant->mplane)
		EXPECT_EQ(0, memcmp(dec->mem[CAP][0], dec->mem[CAP][1],
				    PIXELS));
}

/* STREAMOFF of either queue takes the buffer back, and ends the request. */
TEST_F_TIMEOUT(stateless, streamoff, 60)
{
	struct decoder *dec = &self->dec;
	int i, request;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, qbuf(dec, CAP, 0));
		request = decode_slice(dec, 0, 0);
		ASSERT_GE(request, 0);
		ASSERT_EQ(0, stream(dec, i % 2, false));
		ASSERT_EQ(0, stream(dec, !(i % 2), false));
		EXPECT_TRUE(is_complete(request, -1));
		close(request);
		ASSERT_EQ(0, stream(dec, OUT, true));
		ASSERT_EQ(0, stream(dec, CAP, true));
	}
	EXPECT_TRUE(is_pending(dec->dmabuf[OUT][0]));
	EXPECT_TRUE(is_pending(dec->dmabuf[CAP][0]));
}

/* The file is closed while a fence signals that starts a job, or that runs. */
TEST_F_TIMEOUT(stateless, close, 300)
{
	struct decoder *dec = &self->dec;
	int i, request;

	ASSERT_EQ(0, signal_fences(&self->device, FIRST));
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, qbuf(dec, CAP, 0));
		request = decode_slice(dec, 0, 0);
		ASSERT_GE(request, 0);
		ASSERT_EQ(0, ask(&self->device, SIGNAL, SECOND, -1, 0));
		ASSERT_EQ(0, close(dec->fd));
		EXPECT_TRUE(is_complete(request, -1));
		close(request);
		ASSERT_EQ(0, answer(&self->device));

		ASSERT_EQ(0, open_decoder(dec));
		ASSERT_EQ(0, attach_reader(&self->device, SECOND,
					   dec->dmabuf[CAP][0]));
	}
}

/* A frame in slices is not complete while one of them is held back. */
TEST(flush)
{
	struct v4l2_decoder_cmd cmd = { .cmd = V4L2_DEC_CMD_FLUSH };
	struct decoder dec = { .mplane = true };
	struct device device = { };
	int request[2];
	int i, ret;

	if (access(SW_SYNC, R_OK | W_OK))
		SKIP(return, "no sw_sync");
	ret = open_decoder(&dec);
	if (ret == -ENODEV)
		SKIP(return, "no visl");
	ASSERT_EQ(0, ret);
	dec.media = vivid_open_media(dec.fd);
	ret = alloc_buffers(&dec);
	if (ret == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, start_device(&device));
	ASSERT_EQ(0, attach_writer(&device, FIRST, dec.dmabuf[OUT][1]));

	ASSERT_EQ(0, qbuf(&dec, CAP, 0));
	for (i = 0; i < 2; i++) {
		request[i] = decode_slice(&dec, i,
					  V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF);
		ASSERT_GE(request[i], 0);
	}
	ASSERT_TRUE(is_complete(request[0], -1));
	ASSERT_EQ(0, v4l2_ioctl(dec.fd, VIDIOC_DECODER_CMD, &cmd));
	ASSERT_EQ(-EAGAIN, dqbuf(&dec, CAP));
	EXPECT_FALSE(is_complete(request[1], 0));

	ASSERT_EQ(0, signal_fences(&device, FIRST));
	ASSERT_TRUE(is_complete(request[1], -1));
	EXPECT_EQ(0, dqbuf(&dec, CAP));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(i, dqbuf(&dec, OUT));
		close(request[i]);
	}
	close(dec.fd);
	close(dec.media);
	EXPECT_EQ(-ECANCELED, stop_device(&device));
}

TEST_HARNESS_MAIN
