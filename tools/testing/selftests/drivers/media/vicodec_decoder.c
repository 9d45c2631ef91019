// SPDX-License-Identifier: GPL-2.0
/*
 * What user space may do to the buffers of vicodec's decoders, which read and
 * write them with the CPU.
 *
 * Needs the three devices of vicodec with the single-planar API, the default:
 *
 *	modprobe vicodec
 *
 * Tests that need the shadow heap, root and debugfs are skipped without them.
 *
 * All frames are grey, of one byte per pixel. An I-frame comes uncompressed: it
 * is its own data. A P-frame here is one that changes nothing, block by block:
 * it decodes to a copy of its reference, after a while.
 */

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
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

/* Frames that are decoded repeatedly, and large enough to take a while */
#define RACE_WIDTH	2048
#define RACE_HEIGHT	1080

/* An I-frame, and two P-frames that refer to it */
#define RACE_FRAMES	3

/* Both ways to queue the requests, each with every frame to wait for */
#define RACE_ROUNDS	(2 * RACE_FRAMES)

/* A block of a P-frame whose 64 coefficients are zero */
#define UNCHANGED	htonl(0x8000000f)

#define GREY		V4L2_PIX_FMT_GREY
#define GREY_FLAGS	(V4L2_FWHT_FL_PIXENC_RGB | \
			 V4L2_FWHT_FL_CHROMA_FULL_WIDTH | \
			 V4L2_FWHT_FL_CHROMA_FULL_HEIGHT)
#define I_FRAME_FLAGS	(GREY_FLAGS | V4L2_FWHT_FL_I_FRAME | \
			 V4L2_FWHT_FL_LUMA_IS_UNCOMPRESSED)

/* The driver's struct fwht_cframe_hdr, in network byte order */
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
	void *spare_mem;
};

/* Opens the node, starts the OUTPUT queue and sets the CAPTURE format. */
static int open_queues(struct stateless_decoder *dec, unsigned int outputs)
{
	int ret;

	dec->out.fd = vivid_open("stateless-decoder");
	dec->cap.fd = dec->out.fd;
	if (dec->out.fd < 0)
		return dec->out.fd;

	ret = vivid_set_pix(&dec->out, V4L2_PIX_FMT_FWHT_STATELESS, dec->width,
			    dec->height);
	if (!ret)
		ret = vivid_alloc_mmap(&dec->out, outputs);
	if (!ret)
		ret = vivid_set_pix(&dec->cap, GREY, dec->width, dec->height);

	return ret ? ret : vivid_streamon(&dec->out);
}

static void open_decoder(struct __test_metadata *_metadata,
			 struct stateless_decoder *dec, unsigned int width,
			 unsigned int height, unsigned int outputs)
{
	unsigned int i;
	int ret;

	memset(dec, 0, sizeof(*dec));
	dec->width = width;
	dec->height = height;
	dec->size = width * height;
	dec->out.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	dec->cap.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	ret = open_queues(dec, outputs);
	if (ret == -ENODEV)
		SKIP(return, "no stateless-decoder");
	ASSERT_EQ(0, ret);
	dec->media = vivid_open_media(dec->out.fd);
	ASSERT_GE(dec->media, 0);

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
 * Allocates and maps the CAPTURE buffers, and a spare one if they are dma-bufs.
 * The memory of the dma-bufs stays in place if the kernel unmaps it too early,
 * so that the test fails instead of crashing the machine.
 */
static void alloc_frames(struct __test_metadata *_metadata,
			 struct stateless_decoder *dec, enum v4l2_memory memory,
			 int count)
{
	int dmabuf[VIVID_MAX_BUFFERS], i;

	dec->exporter.fd = -1;
	if (memory == V4L2_MEMORY_MMAP) {
		ASSERT_EQ(0, vivid_alloc_mmap(&dec->cap, count));
		return;
	}

	dec->exporter.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	dec->exporter.fd = vivid_open("stateless-decoder");
	ASSERT_GE(dec->exporter.fd, 0);
	ASSERT_EQ(0, vivid_set_pix(&dec->exporter, GREY, dec->width,
				   dec->height));
	ASSERT_EQ(0, vivid_alloc_mmap(&dec->exporter, count + 1));
	for (i = 0; i <= count; i++) {
		dmabuf[i] = vivid_export(&dec->exporter, i);
		ASSERT_GE(dmabuf[i], 0);
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(&dec->cap, count, dmabuf, dec->size));
	dec->spare = dmabuf[count];
	dec->spare_mem = dec->exporter.mem[count];
}

/*
 * Makes a request out of the data in an OUTPUT buffer: a frame with timestamp
 * @usec. It is a P-frame that refers to @reference if that is not zero.
 */
static int make_request(struct stateless_decoder *dec, unsigned int index,
			unsigned int size, unsigned int usec,
			unsigned int reference)
{
	struct v4l2_ctrl_fwht_params params = {
		.backward_ref_ts = reference * 1000ULL,
		.version = V4L2_FWHT_VERSION,
		.width = dec->width,
		.height = dec->height,
		.flags = reference ? GREY_FLAGS : I_FRAME_FLAGS,
	};
	struct v4l2_buffer buf = {
		.index = index,
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

	buf.request_fd = request;
	ret = vivid_set_fwht_params(dec->out.fd, request, &params);
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

static int queue_request(int request)
{
	return v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL);
}

/* Makes a request to decode the noise, from the first OUTPUT buffer. */
static int make_noise(struct stateless_decoder *dec, unsigned int usec)
{
	memcpy(dec->out.mem[0], dec->noise, dec->size);

	return make_request(dec, 0, dec->size, usec, 0);
}

/* Makes a request to copy the frame with the timestamp @usec. */
static int make_copy(struct stateless_decoder *dec, unsigned int index,
		     unsigned int usec)
{
	unsigned int i, blocks = dec->size / 64;
	uint32_t *data = dec->out.mem[index];

	for (i = 0; i < blocks; i++)
		data[i] = UNCHANGED;

	return make_request(dec, index, blocks * sizeof(*data),
			    usec + 1 + index, usec);
}

/* Decodes the noise into the first CAPTURE buffer. */
static int decode_noise(struct stateless_decoder *dec, unsigned int usec)
{
	int request, ret;

	ret = vivid_qbuf(&dec->cap, 0);
	if (ret)
		return ret;
	request = make_noise(dec, usec);
	if (request < 0)
		return request;
	ret = queue_request(request);

	return ret ? ret : finish_request(dec, request);
}

/* Waits until the decoder has begun to write the noise. */
static void wait_for_noise(struct stateless_decoder *dec, unsigned int index)
{
	uint8_t *first = dec->cap.mem[index];

	while (__atomic_load_n(first, __ATOMIC_RELAXED) != dec->noise[0])
		sched_yield();
}

static int queue_same(struct stateless_decoder *dec)
{
	return vivid_qbuf(&dec->cap, 0);
}

/* Queues the first CAPTURE buffer with another dma-buf. */
static int queue_other(struct stateless_decoder *dec)
{
	void *mem = dec->cap.mem[0];
	int ret, dmabuf = dec->cap.dmabuf[0];

	dec->cap.dmabuf[0] = dec->spare;
	ret = vivid_qbuf(&dec->cap, 0);
	if (ret) {
		dec->cap.dmabuf[0] = dmabuf;
		return ret;
	}
	dec->cap.mem[0] = dec->spare_mem;
	dec->spare = dmabuf;
	dec->spare_mem = mem;

	return 0;
}

static int remove_buffer(struct stateless_decoder *dec)
{
	struct v4l2_remove_buffers remove = {
		.count = 1, .type = dec->cap.type,
	};

	return v4l2_ioctl(dec->cap.fd, VIDIOC_REMOVE_BUFS, &remove);
}

/* Frees all CAPTURE buffers. The queue must not stream for that. */
static int free_buffers(struct stateless_decoder *dec)
{
	int ret;

	ret = vivid_streamoff(&dec->cap);

	return ret ? ret : vivid_reqbufs(&dec->cap, 0);
}

static void unmap_frames(struct stateless_decoder *dec)
{
	/* dma-bufs stay the same ones */
	if (dec->cap.memory != V4L2_MEMORY_MMAP)
		return;
	while (dec->cap.count)
		munmap(dec->cap.mem[--dec->cap.count], dec->cap.size);
}

/* Unmaps the buffers first: mappings would keep the file open. */
static int close_file(struct stateless_decoder *dec)
{
	unsigned int i;

	for (i = 0; i < dec->out.count; i++)
		munmap(dec->out.mem[i], dec->out.size);
	unmap_frames(dec);
	close(dec->out.fd);
	dec->out.fd = -1;

	return 0;
}

FIXTURE(reference)
{
	struct stateless_decoder dec;
};

/* Where the memory of the CAPTURE buffers comes from, and what takes it away */
FIXTURE_VARIANT(reference)
{
	enum v4l2_memory memory;
	int (*take)(struct stateless_decoder *dec);
};

FIXTURE_VARIANT_ADD(reference, mmap) {
	.memory = V4L2_MEMORY_MMAP,
	.take = remove_buffer,
};

FIXTURE_VARIANT_ADD(reference, dmabuf) {
	.memory = V4L2_MEMORY_DMABUF,
	.take = queue_other,
};

FIXTURE_SETUP(reference)
{
	struct stateless_decoder *dec = &self->dec;

	open_decoder(_metadata, dec, WIDTH, HEIGHT, 1);
	if (dec->out.fd == -ENODEV)
		return;
	alloc_frames(_metadata, dec, variant->memory, 2);
	ASSERT_EQ(0, vivid_streamon(&dec->cap));
}

FIXTURE_TEARDOWN(reference)
{
	close(self->dec.exporter.fd);
	close_decoder(&self->dec);
}

/*
 * Either the memory of a reference cannot be taken away while it is being read,
 * or that succeeds only after the read, so that overwriting it does not show.
 * Without its memory a reference is not found any more.
 */
TEST_F_TIMEOUT(reference, taken, 120)
{
	struct stateless_decoder *dec = &self->dec;
	uint8_t *first = dec->cap.mem[1];
	void *mem = dec->cap.mem[0];
	int request, status, ret;
	pid_t pid;

	ASSERT_EQ(0, decode_noise(dec, 1));
	ASSERT_EQ(0, memcmp(dec->cap.mem[0], dec->noise, SIZE));
	ASSERT_EQ(0, vivid_qbuf(&dec->cap, 1));
	request = make_copy(dec, 0, 1);
	ASSERT_GE(request, 0);

	/* vicodec decodes in the task that queues. */
	*first = ~dec->noise[0];
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(!!queue_request(request));

	/* It has found its reference when it writes the first block. */
	wait_for_noise(dec, 1);
	ret = variant->take(dec);
	if (!ret)
		memset(mem, 0, SIZE);
	else
		ASSERT_EQ(-EBUSY, ret);

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, finish_request(dec, request));
	ASSERT_EQ(0, memcmp(dec->cap.mem[1], dec->noise, SIZE));

	if (ret)
		ASSERT_EQ(0, variant->take(dec));
	ASSERT_EQ(0, vivid_qbuf(&dec->cap, 1));
	request = make_copy(dec, 0, 1);
	ASSERT_GE(request, 0);
	ASSERT_EQ(0, queue_request(request));
	EXPECT_EQ(-EIO, finish_request(dec, request));
}

/* A thread that queues requests */
struct queuer {
	struct stateless_decoder *dec;
	int request[RACE_FRAMES];
	bool streamon_last;
	int ret;
};

FIXTURE(race)
{
	struct stateless_decoder dec;
};

FIXTURE_VARIANT(race)
{
	enum v4l2_memory memory;
	int (*take)(struct stateless_decoder *dec);
};

FIXTURE_VARIANT_ADD(race, queue_same_mmap) {
	.memory = V4L2_MEMORY_MMAP,
	.take = queue_same,
};

FIXTURE_VARIANT_ADD(race, queue_same_dmabuf) {
	.memory = V4L2_MEMORY_DMABUF,
	.take = queue_same,
};

FIXTURE_VARIANT_ADD(race, queue_other_dmabuf) {
	.memory = V4L2_MEMORY_DMABUF,
	.take = queue_other,
};

FIXTURE_VARIANT_ADD(race, remove_mmap) {
	.memory = V4L2_MEMORY_MMAP,
	.take = remove_buffer,
};

FIXTURE_VARIANT_ADD(race, remove_dmabuf) {
	.memory = V4L2_MEMORY_DMABUF,
	.take = remove_buffer,
};

FIXTURE_VARIANT_ADD(race, free_mmap) {
	.memory = V4L2_MEMORY_MMAP,
	.take = free_buffers,
};

FIXTURE_VARIANT_ADD(race, free_dmabuf) {
	.memory = V4L2_MEMORY_DMABUF,
	.take = free_buffers,
};

FIXTURE_VARIANT_ADD(race, close_mmap) {
	.memory = V4L2_MEMORY_MMAP,
	.take = close_file,
};

FIXTURE_VARIANT_ADD(race, close_dmabuf) {
	.memory = V4L2_MEMORY_DMABUF,
	.take = close_file,
};

FIXTURE_SETUP(race)
{
	struct stateless_decoder *dec = &self->dec;

	open_decoder(_metadata, dec, RACE_WIDTH, RACE_HEIGHT, RACE_FRAMES);
	if (dec->out.fd == -ENODEV)
		return;
	alloc_frames(_metadata, dec, variant->memory, RACE_FRAMES);
}

FIXTURE_TEARDOWN(race)
{
	close(self->dec.exporter.fd);
	close_decoder(&self->dec);
}

/* Queues new CAPTURE buffers that do not have a picture, from the @index-th. */
static int renew_buffers(struct stateless_decoder *dec, unsigned int index)
{
	unsigned int i;
	int ret;

	unmap_frames(dec);
	if (dec->cap.memory == V4L2_MEMORY_MMAP)
		ret = vivid_alloc_mmap(&dec->cap, RACE_FRAMES);
	else
		ret = vivid_reqbufs(&dec->cap, RACE_FRAMES);
	for (i = index; !ret && i < RACE_FRAMES; i++) {
		memset(dec->cap.mem[i], (uint8_t)~dec->noise[0], dec->size);
		ret = vivid_qbuf(&dec->cap, i);
	}

	return ret;
}

/*
 * The first frame has no reference. If the queue starts to stream last, the
 * kernel decodes the other frames by itself. Otherwise this thread does so.
 */
static void *queue_requests(void *arg)
{
	struct queuer *queuer = arg;
	struct vivid_queue *cap = &queuer->dec->cap;
	int i;

	if (!queuer->streamon_last)
		queuer->ret = vivid_streamon(cap);
	for (i = 0; !queuer->ret && i < RACE_FRAMES; i++)
		queuer->ret = queue_request(queuer->request[i]);
	if (!queuer->ret && queuer->streamon_last)
		queuer->ret = vivid_streamon(cap);

	return NULL;
}

static int wait_for_request(int request)
{
	struct pollfd pollfd = { .fd = request, .events = POLLPRI };

	/* one that is not queued yet is an error */
	do {
		if (poll(&pollfd, 1, -1) < 0)
			return -errno;
		sched_yield();
	} while (!(pollfd.revents & POLLPRI));

	return 0;
}

/*
 * Dequeues what is done. Returns how many frames are wrong: a frame is right,
 * or it has an error, if @may_fail.
 */
static int count_wrong(struct stateless_decoder *dec, bool may_fail)
{
	struct v4l2_buffer buf;
	int wrong = 0, ret;

	for (;;) {
		memset(&buf, 0, sizeof(buf));
		buf.type = dec->cap.type;
		buf.memory = dec->cap.memory;
		ret = v4l2_ioctl(dec->cap.fd, VIDIOC_DQBUF, &buf);
		if (ret)
			break;
		if (buf.flags & V4L2_BUF_FLAG_ERROR)
			wrong += !may_fail;
		else
			wrong += !!memcmp(dec->cap.mem[buf.index], dec->noise,
					  dec->size);
	}
	while (ret == -EAGAIN) {
		memset(&buf, 0, sizeof(buf));
		buf.type = dec->out.type;
		buf.memory = dec->out.memory;
		if (v4l2_ioctl(dec->out.fd, VIDIOC_DQBUF, &buf))
			return wrong;
	}

	return ret;
}

/*
 * A reference is taken away before, during and after the decoding of frames
 * that need it. The next round works as usual.
 */
TEST_F_TIMEOUT(race, taken, 120)
{
	const bool closes = variant->take == close_file;
	struct stateless_decoder *dec = &self->dec;
	struct queuer queuer = { .dec = dec };
	int round, wait, request, usec, i, ret;
	pthread_t thread;
	void *mem;

	/* in the last round nothing is taken away */
	for (round = 0; round <= RACE_ROUNDS; round++) {
		queuer.streamon_last = round % 2;
		queuer.ret = 0;
		wait = round / 2 % RACE_FRAMES;
		/* leave no request behind: vicodec would warn about it */
		if (closes)
			wait = RACE_FRAMES - 1;
		usec = 1 + round * (RACE_FRAMES + 1);

		ASSERT_EQ(0, dec->out.fd < 0 ? open_queues(dec, RACE_FRAMES) :
					       free_buffers(dec));
		ASSERT_EQ(0, renew_buffers(dec, 0));
		queuer.request[0] = make_noise(dec, usec);
		ASSERT_GE(queuer.request[0], 0);
		for (i = 1; i < RACE_FRAMES; i++) {
			queuer.request[i] = make_copy(dec, i, usec);
			ASSERT_GE(queuer.request[i], 0);
		}

		ASSERT_EQ(0, pthread_create(&thread, NULL, queue_requests,
					    &queuer));
		if (queuer.streamon_last)
			ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, wait_for_request(queuer.request[0]));
		ASSERT_EQ(0, count_wrong(dec, false));
		if (wait)
			wait_for_noise(dec, wait);

		ret = 0;
		mem = dec->cap.mem[0];
		if (round < RACE_ROUNDS) {
			do
				ret = variant->take(dec);
			while (ret == -EBUSY);
			/* the memory belongs to the test again */
			if (!ret && !closes && variant->take != queue_same)
				memset(mem, (uint8_t)~dec->noise[0], dec->size);
		}
		if (!queuer.streamon_last)
			ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, queuer.ret);

		if (round < RACE_ROUNDS && variant->take == free_buffers) {
			ASSERT_EQ(0, renew_buffers(dec, 1));
			ASSERT_EQ(0, vivid_streamon(&dec->cap));
		}
		for (i = 0; i < RACE_FRAMES; i++) {
			ASSERT_EQ(0, wait_for_request(queuer.request[i]));
			close(queuer.request[i]);
		}
		if (dec->out.fd < 0)
			continue;
		ASSERT_EQ(0, count_wrong(dec, round < RACE_ROUNDS));
		if (variant->take != queue_same &&
		    variant->take != queue_other)
			continue;

		/* decode into the buffer that was queued again */
		if (round == RACE_ROUNDS)
			ASSERT_EQ(0, queue_same(dec));
		request = make_copy(dec, 0, usec);
		ASSERT_GE(request, 0);
		ASSERT_EQ(0, queue_request(request));
		ASSERT_EQ(0, wait_for_request(request));
		close(request);
		ASSERT_EQ(0, count_wrong(dec, variant->take == queue_other));
	}
}

FIXTURE(shadow)
{
	struct stateless_decoder dec;
	int dmabuf[2];
	uint8_t *device;
};

/* Buffers that stay as they are until the CPU begins to access them. */
FIXTURE_SETUP(shadow)
{
	struct stateless_decoder *dec = &self->dec;
	int i;

	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);

	open_decoder(_metadata, dec, SHADOW_WIDTH, SHADOW_HEIGHT, 2);
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

/* Do devices see the noise in a buffer? */
static bool device_has_noise(struct stateless_decoder *dec, int index,
			     uint8_t *device)
{
	memset(device, (uint8_t)~dec->noise[0], dec->size);

	return !shadow_device_read(dec->cap.dmabuf[index], device, dec->size) &&
	       !memcmp(device, dec->noise, dec->size);
}

/* A reference that has been dequeued is read as it was decoded. */
TEST_F_TIMEOUT(shadow, dequeued, 60)
{
	struct stateless_decoder *dec = &self->dec;
	int request;

	ASSERT_EQ(0, decode_noise(dec, 1));
	EXPECT_TRUE(device_has_noise(dec, 0, self->device));

	ASSERT_EQ(0, vivid_qbuf(&dec->cap, 1));
	request = make_copy(dec, 1, 1);
	ASSERT_GE(request, 0);
	ASSERT_EQ(0, queue_request(request));
	ASSERT_EQ(0, finish_request(dec, request));
	EXPECT_TRUE(device_has_noise(dec, 1, self->device));
	EXPECT_TRUE(device_has_noise(dec, 0, self->device));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, 2));
}

/* Both pictures are right if the reference is dequeued while being read. */
TEST_F_TIMEOUT(shadow, dequeued_meanwhile, 60)
{
	struct stateless_decoder *dec = &self->dec;
	struct pollfd second = { .events = POLLPRI };
	int i, round, request[2];
	bool reading = false;

	for (round = 0; round < 100 && !reading; round++) {
		ASSERT_EQ(0, vivid_streamoff(&dec->cap));
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, vivid_qbuf(&dec->cap, i));
		request[0] = make_noise(dec, 1);
		ASSERT_GE(request[0], 0);
		request[1] = make_copy(dec, 1, 1);
		ASSERT_GE(request[1], 0);
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, queue_request(request[i]));

		/* This decodes the first, the kernel goes on with the second */
		ASSERT_EQ(0, vivid_streamon(&dec->cap));
		ASSERT_EQ(0, vivid_dqbuf(&dec->cap));
		second.fd = request[1];
		reading = !poll(&second, 1, 0);
		EXPECT_TRUE(device_has_noise(dec, 0, self->device));
		EXPECT_EQ(0, wait_for_request(request[0]));
		close(request[0]);
		ASSERT_EQ(0, vivid_dqbuf(&dec->out));
		ASSERT_EQ(0, finish_request(dec, request[1]));
		EXPECT_TRUE(device_has_noise(dec, 1, self->device));
		EXPECT_TRUE(device_has_noise(dec, 0, self->device));
		EXPECT_TRUE(shadow_no_writers(self->dmabuf, 2));
	}
	if (!reading)
		SKIP(return, "decoding is over before anybody looks");
}

/*
 * Frames larger than the buffers are an error, and must not be written beyond
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

	/* Buffers of the size of the default format */
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
