// SPDX-License-Identifier: GPL-2.0
/*
 * What user space may do to the buffers of vicodec's decoders, which read and
 * write them with the CPU.
 *
 * Needs the three devices of vicodec with the single-planar API, the default:
 *
 *	modprobe vicodec
 *
 * What needs the shadow heap as well as root and debugfs is skipped without.
 *
 * All frames are grey, of one byte per pixel. An I-frame comes uncompressed: it
 * is its own data. A P-frame here is one that changes nothing, block by block:
 * it decodes to a copy of its reference, after a while.
 */

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "dmabuf_shadow.h"
#include "vivid.h"

#define WIDTH		4096
#define HEIGHT		2160
#define SIZE		(WIDTH * HEIGHT)

/* as large as a buffer of the shadow heap can be, in any case */
#define SHADOW_WIDTH	1280
#define SHADOW_HEIGHT	720

/* A block of a P-frame whose 64 coefficients are zero */
#define UNCHANGED	htonl(0x8000000f)

#define GREY		V4L2_PIX_FMT_GREY
#define GREY_FLAGS	(V4L2_FWHT_FL_PIXENC_RGB | \
			 V4L2_FWHT_FL_CHROMA_FULL_WIDTH | \
			 V4L2_FWHT_FL_CHROMA_FULL_HEIGHT)
#define I_FRAME_FLAGS	(GREY_FLAGS | V4L2_FWHT_FL_I_FRAME | \
			 V4L2_FWHT_FL_LUMA_IS_UNCOMPRESSED)

/* What struct fwht_cframe_hdr of the driver is, in network byte order */
struct stream_header {
	uint32_t magic[2];
	uint32_t version, width, height, flags;
	uint32_t colorspace, xfer_func, ycbcr_enc, quantization;
	uint32_t size;
};

struct stateless_decoder {
	int media;
	unsigned int width;
	unsigned int height;
	unsigned int size;
	uint8_t *noise;
	struct vivid_queue out;
	struct vivid_queue cap;
	struct vivid_queue exporter;
	int spare;
};

FIXTURE(reference)
{
	struct stateless_decoder dec;
};

/* Where the memory of the CAPTURE buffers comes from */
FIXTURE_VARIANT(reference)
{
	enum v4l2_memory memory;
};

FIXTURE_VARIANT_ADD(reference, mmap) { .memory = V4L2_MEMORY_MMAP };
FIXTURE_VARIANT_ADD(reference, dmabuf) { .memory = V4L2_MEMORY_DMABUF };

static void open_decoder(struct __test_metadata *_metadata,
			 struct stateless_decoder *dec,
			 unsigned int width, unsigned int height)
{
	unsigned int i;

	memset(dec, 0, sizeof(*dec));
	dec->width = width;
	dec->height = height;
	dec->size = width * height;
	dec->out.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	dec->out.fd = vivid_open("stateless-decoder");
	if (dec->out.fd == -ENODEV)
		SKIP(return, "no stateless-decoder");
	ASSERT_GE(dec->out.fd, 0);
	dec->media = vivid_open_media(dec->out.fd);
	ASSERT_GE(dec->media, 0);
	dec->cap.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	dec->cap.fd = dec->out.fd;

	ASSERT_EQ(0, vivid_set_pix(&dec->out, V4L2_PIX_FMT_FWHT_STATELESS,
				   width, height));
	ASSERT_EQ(0, vivid_alloc_mmap(&dec->out, 1));
	ASSERT_EQ(0, vivid_set_pix(&dec->cap, GREY, width, height));

	dec->noise = malloc(dec->size);
	ASSERT_NE(NULL, dec->noise);
	for (i = 0; i < dec->size; i++)
		dec->noise[i] = rand();
}

static void close_decoder(struct stateless_decoder *dec)
{
	free(dec->noise);
	close(dec->out.fd);
	close(dec->media);
}

/*
 * Two buffers, and the memory of a third, all mapped by the test as well. The
 * dma-bufs are of a kind that stays where it is if the kernel unmaps it too
 * early, so that the test fails then instead of crashing the machine.
 */
FIXTURE_SETUP(reference)
{
	struct stateless_decoder *dec = &self->dec;
	int dmabuf[3], i;

	open_decoder(_metadata, dec, WIDTH, HEIGHT);
	if (dec->out.fd == -ENODEV)
		return;
	dec->exporter.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	dec->exporter.fd = vivid_open("stateless-decoder");
	ASSERT_GE(dec->exporter.fd, 0);

	if (variant->memory == V4L2_MEMORY_MMAP) {
		ASSERT_EQ(0, vivid_alloc_mmap(&dec->cap, 2));
	} else {
		ASSERT_EQ(0, vivid_set_pix(&dec->exporter, GREY, WIDTH,
					   HEIGHT));
		ASSERT_EQ(0, vivid_alloc_mmap(&dec->exporter, 3));
		for (i = 0; i < 3; i++) {
			dmabuf[i] = vivid_export(&dec->exporter, i);
			ASSERT_GE(dmabuf[i], 0);
		}
		ASSERT_EQ(0, vivid_alloc_dmabuf(&dec->cap, 2, dmabuf, SIZE));
		dec->spare = dmabuf[2];
	}
	ASSERT_EQ(0, vivid_streamon(&dec->out));
	ASSERT_EQ(0, vivid_streamon(&dec->cap));
}

FIXTURE_TEARDOWN(reference)
{
	struct stateless_decoder *dec = &self->dec;

	close(dec->exporter.fd);
	close_decoder(dec);
}

/*
 * Makes a request out of the data in the OUTPUT buffer: a frame with a time of
 * @usec, and a P-frame on what has a time of @reference if that is not zero.
 */
static int make_request(struct stateless_decoder *dec, unsigned int size,
			unsigned int usec, unsigned int reference)
{
	struct v4l2_ctrl_fwht_params params = {
		.backward_ref_ts = reference * 1000ULL,
		.version = V4L2_FWHT_VERSION,
		.width = dec->width,
		.height = dec->height,
		.flags = reference ? GREY_FLAGS : I_FRAME_FLAGS,
	};
	struct v4l2_ext_control ctrl = {
		.id = V4L2_CID_STATELESS_FWHT_PARAMS,
		.size = sizeof(params),
		.ptr = &params,
	};
	struct v4l2_ext_controls ctrls = {
		.which = V4L2_CTRL_WHICH_REQUEST_VAL,
		.count = 1,
		.controls = &ctrl,
	};
	struct v4l2_buffer buf = {
		.type = dec->out.type,
		.memory = dec->out.memory,
		.flags = V4L2_BUF_FLAG_REQUEST_FD,
		.bytesused = size,
		.timestamp.tv_usec = usec,
	};
	int request, ret;

	ret = v4l2_ioctl(dec->media, MEDIA_IOC_REQUEST_ALLOC, &request);
	if (ret)
		return ret;

	ctrls.request_fd = request;
	buf.request_fd = request;
	ret = v4l2_ioctl(dec->out.fd, VIDIOC_S_EXT_CTRLS, &ctrls);
	if (!ret)
		ret = v4l2_ioctl(dec->out.fd, VIDIOC_QBUF, &buf);
	if (ret)
		close(request);

	return ret ? ret : request;
}

/* Waits for the frame and returns 0 or the error that it has. */
static int finish_request(struct stateless_decoder *dec, int request)
{
	struct pollfd pollfd = { .fd = request, .events = POLLPRI };
	int ret;

	ret = poll(&pollfd, 1, 60000);
	close(request);
	if (ret <= 0)
		return ret ? -errno : -ETIMEDOUT;

	/* The buffers have the same error, if any. */
	vivid_dqbuf(&dec->out);
	ret = vivid_dqbuf(&dec->cap);

	return ret < 0 ? ret : 0;
}

/* Decodes the noise into the first buffer. */
static int decode_noise(struct stateless_decoder *dec, unsigned int usec)
{
	int request, ret;

	ret = vivid_qbuf(&dec->cap, 0);
	if (ret)
		return ret;
	memcpy(dec->out.mem[0], dec->noise, dec->size);
	request = make_request(dec, dec->size, usec, 0);
	if (request < 0)
		return request;
	ret = v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL);

	return ret ? ret : finish_request(dec, request);
}

/* Makes a request to decode the same into the second, from the first. */
static int make_copy(struct stateless_decoder *dec, unsigned int usec)
{
	unsigned int i, blocks = dec->size / 64;
	uint32_t *data = dec->out.mem[0];
	int ret;

	ret = vivid_qbuf(&dec->cap, 1);
	if (ret)
		return ret;
	for (i = 0; i < blocks; i++)
		data[i] = UNCHANGED;

	return make_request(dec, blocks * sizeof(*data), usec + 1, usec);
}

/* Takes the first buffer's memory away: remove it, or queue it with another. */
static int take_memory(struct stateless_decoder *dec)
{
	struct v4l2_remove_buffers remove = {
		.count = 1, .type = dec->cap.type,
	};

	if (dec->cap.memory == V4L2_MEMORY_MMAP)
		return v4l2_ioctl(dec->cap.fd, VIDIOC_REMOVE_BUFS, &remove);

	dec->cap.dmabuf[0] = dec->spare;

	return vivid_qbuf(&dec->cap, 0);
}

/*
 * A reference whose memory is taken away while it is being read serves until it
 * has been. What happens to that memory later does not show.
 */
TEST_F_TIMEOUT(reference, taken, 120)
{
	struct stateless_decoder *dec = &self->dec;
	uint8_t *first = dec->cap.mem[1], seen;
	int request, status, i;
	pid_t pid;

	ASSERT_EQ(0, decode_noise(dec, 1));
	ASSERT_EQ(0, memcmp(dec->cap.mem[0], dec->noise, SIZE));
	request = make_copy(dec, 1);
	ASSERT_GE(request, 0);

	/* vicodec decodes in the task that queues. */
	*first = ~dec->noise[0];
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(!!ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL));

	/* It has found its reference when it writes the first block. */
	for (i = 0; i < 60000; i++) {
		seen = __atomic_load_n(first, __ATOMIC_RELAXED);
		if (seen == dec->noise[0])
			break;
		usleep(1000);
	}
	ASSERT_EQ(dec->noise[0], seen);
	ASSERT_EQ(0, take_memory(dec));
	memset(dec->cap.mem[0], 0, SIZE);

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, finish_request(dec, request));
	ASSERT_EQ(0, memcmp(dec->cap.mem[1], dec->noise, SIZE));
}

FIXTURE(shadow)
{
	struct stateless_decoder dec;
	int dmabuf[2];
	uint8_t *device;
};

/* Buffers that show poison where the CPU has not begun to access them. */
FIXTURE_SETUP(shadow)
{
	struct stateless_decoder *dec = &self->dec;
	int i;

	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);

	open_decoder(_metadata, dec, SHADOW_WIDTH, SHADOW_HEIGHT);
	if (dec->out.fd == -ENODEV)
		return;
	self->device = malloc(dec->size);
	ASSERT_NE(NULL, self->device);
	for (i = 0; i < 2; i++) {
		self->dmabuf[i] = shadow_heap_alloc(dec->size);
		ASSERT_GE(self->dmabuf[i], 0);
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(&dec->cap, 2, self->dmabuf,
					dec->size));
	ASSERT_EQ(0, vivid_streamon(&dec->out));
	ASSERT_EQ(0, vivid_streamon(&dec->cap));
}

FIXTURE_TEARDOWN(shadow)
{
	int i;

	close_decoder(&self->dec);
	for (i = 0; i < 2; i++)
		close(self->dmabuf[i]);
	free(self->device);
}

/*
 * A reference that is back with user space is read all the same, as devices see
 * it by then: here something else than what was decoded.
 */
TEST_F_TIMEOUT(shadow, dequeued, 60)
{
	struct stateless_decoder *dec = &self->dec;
	unsigned int i;
	int request;

	ASSERT_EQ(0, decode_noise(dec, 1));
	EXPECT_STREQ("1 1 0 0", shadow_counts(self->dmabuf[0]));
	EXPECT_TRUE(is_filled(dec->cap.mem[0], SHADOW_POISON, dec->size));
	ASSERT_EQ(0, shadow_device_read(self->dmabuf[0], self->device,
					dec->size));
	EXPECT_EQ(0, memcmp(self->device, dec->noise, dec->size));

	for (i = 0; i < dec->size; i++)
		dec->noise[i] = ~dec->noise[i];
	ASSERT_EQ(0, shadow_device_write(self->dmabuf[0], dec->noise,
					 dec->size));
	request = make_copy(dec, 1);
	ASSERT_GE(request, 0);
	ASSERT_EQ(0, ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL));
	ASSERT_EQ(0, finish_request(dec, request));
	ASSERT_EQ(0, shadow_device_read(self->dmabuf[1], self->device,
					dec->size));
	EXPECT_EQ(0, memcmp(self->device, dec->noise, dec->size)) {
		TH_LOG("the copy is%s poison",
		       is_filled(self->device, SHADOW_POISON, dec->size) ?
		       "" : " not");
	}
	EXPECT_STREQ("2 2 0 0", shadow_counts(self->dmabuf[0]));
	EXPECT_STREQ("1 1 0 0", shadow_counts(self->dmabuf[1]));
}

/*
 * Frames larger than the buffers are an error, and leave alone what lies behind
 * them: here the buffers are the first part of larger dma-bufs.
 */
TEST(too_large)
{
	enum { SMALL = 1280 * 720 * 3 / 2, W = 2560, H = 1440, LARGE = W * H };
	struct vivid_queue exporter = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct vivid_queue out = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	struct vivid_queue cap = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct stream_header header = {
		.magic = { htonl(0x4f4f4f4f), htonl(0xffffffff) },
		.version = htonl(V4L2_FWHT_VERSION),
		.width = htonl(W),
		.height = htonl(H),
		.flags = htonl(I_FRAME_FLAGS),
		.size = htonl(LARGE),
	};
	int dmabuf[2], i;

	out.fd = vivid_open("stateful-decoder");
	if (out.fd == -ENODEV)
		SKIP(return, "no stateful-decoder");
	ASSERT_GE(out.fd, 0);
	cap.fd = out.fd;
	exporter.fd = vivid_open("stateful-decoder");
	ASSERT_GE(exporter.fd, 0);

	ASSERT_EQ(0, vivid_set_pix(&exporter, GREY, WIDTH, HEIGHT));
	ASSERT_EQ(0, vivid_alloc_mmap(&exporter, 2));
	for (i = 0; i < 2; i++) {
		dmabuf[i] = vivid_export(&exporter, i);
		ASSERT_GE(dmabuf[i], 0);
	}

	/* Buffers of the size that the device starts with */
	ASSERT_EQ(0, vivid_alloc_dmabuf(&cap, 2, dmabuf, SIZE));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vivid_poison(&cap, i));
		ASSERT_EQ(0, vivid_qbuf_len(&cap, i, SMALL, 0));
	}

	ASSERT_EQ(0, vivid_alloc_mmap(&out, 2));
	ASSERT_LE(sizeof(header) + LARGE, out.size);
	memcpy(out.mem[0], &header, sizeof(header));
	memset(out.mem[0] + sizeof(header), 0, LARGE);
	ASSERT_EQ(0, vivid_qbuf_len(&out, 0, 0, sizeof(header) + LARGE));
	ASSERT_EQ(0, vivid_streamon(&out));
	ASSERT_EQ(0, vivid_streamon(&cap));

	EXPECT_EQ(-EIO, vivid_dqbuf(&cap));
	for (i = 0; i < 2; i++)
		EXPECT_TRUE(is_filled(cap.mem[i] + SMALL, POISON,
				      SIZE - SMALL));
	close(exporter.fd);
	close(out.fd);
}

TEST_HARNESS_MAIN
