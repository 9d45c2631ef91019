// SPDX-License-Identifier: GPL-2.0
/*
 * Whether vivid, which fills and reads its buffers with the CPU, informs the
 * exporter. The shadow heap has one copy of a buffer for devices and one for
 * the CPU. They differ if dma_buf_begin_cpu_access() and
 * dma_buf_end_cpu_access() are not called, or in the wrong place: then pictures
 * are not copied. If a write is not ended, what devices write is not copied.
 *
 * Needs root, debugfs and CONFIG_DMABUF_HEAPS_SHADOW. Instances 0 and 1 of
 * vivid with the default allocator, instance 3 with dma-contig, 9 with dma-sg:
 *
 *	modprobe vivid n_devs=10 allocators=0,0,0,1,0,0,0,0,0,2
 */

#include <signal.h>
#include <sys/wait.h>

#include "../../kselftest_harness.h"
#include "dmabuf_shadow.h"
#include "vivid.h"

#define BUFFERS		4
#define WIDTH		640U
#define HEIGHT		480U
#define SIZE		(WIDTH * HEIGHT * 4)

/* A buffer is longer than a picture by this. */
#define TAIL		65536

/* How long vivid may show something else before the first output. */
#define MAX_OTHER	240U

#define ALLOCATORS	"/sys/module/vivid/parameters/allocators"

/* Returns that of an instance: 0 vmalloc, 1 dma-contig, 2 dma-sg */
static int allocator(int instance)
{
	char text[64] = "";
	FILE *file;

	file = fopen(ALLOCATORS, "r");
	if (!file || !fgets(text, sizeof(text), file))
		text[0] = '\0';
	if (file)
		fclose(file);

	return strlen(text) > 2 * instance ? text[2 * instance] - '0' : 0;
}

/* Connects the input of an instance to a generator, or to an output. */
static int connect_input(int fd, int instance, const char *to)
{
	char name[64];

	snprintf(name, sizeof(name), "HDMI %03d-0 Is Connected To", instance);

	return vivid_set_menu(fd, name, to);
}

/* Opens a node of an instance; what it captures does not change. */
static int open_queue(struct vivid_queue *q, int instance,
		      enum v4l2_buf_type type, const char *pattern)
{
	bool capture = type == V4L2_BUF_TYPE_VIDEO_CAPTURE;
	char name[32];
	int ret;

	snprintf(name, sizeof(name), "vivid-%03d-vid-%s", instance,
		 capture ? "cap" : "out");
	q->type = type;
	q->fd = vivid_open(name);
	if (q->fd < 0)
		return q->fd;

	ret = capture ? vivid_set_input(q->fd, "HDMI") :
			vivid_set_output(q->fd, "HDMI");
	if (!ret)
		ret = vivid_set_timings(q->fd);
	if (!ret)
		ret = vivid_set_format(q->fd, type, WIDTH, HEIGHT);
	if (ret || !capture)
		return ret;

	ret = connect_input(q->fd, instance, "Test Pattern Generator");
	if (!ret)
		ret = vivid_set_menu(q->fd, "Test Pattern", pattern);
	if (!ret)
		ret = vivid_set_menu(q->fd, "Horizontal Movement",
				     "No Movement");
	if (!ret)
		ret = vivid_set_menu(q->fd, "OSD Text Mode", "None");

	return ret;
}

static int open_capture(struct vivid_queue *q, int instance,
			const char *pattern)
{
	return open_queue(q, instance, V4L2_BUF_TYPE_VIDEO_CAPTURE, pattern);
}

static int open_output(struct vivid_queue *q, int instance)
{
	return open_queue(q, instance, V4L2_BUF_TYPE_VIDEO_OUTPUT, NULL);
}

/* What it captures into buffers of its own */
static uint8_t *take_picture(struct __test_metadata *_metadata,
			     struct vivid_queue *q)
{
	uint8_t *picture;

	picture = malloc(SIZE);
	ASSERT_NE(NULL, picture);
	ASSERT_EQ(0, vivid_alloc_mmap(q, 2));
	ASSERT_EQ(0, vivid_take_pictures(q));
	ASSERT_EQ(SIZE, q->size);
	memcpy(picture, q->mem[0], SIZE);
	ASSERT_EQ(0, vivid_free(q));
	ASSERT_FALSE(is_filled(picture, picture[0], SIZE));

	return picture;
}

static int queue_buffer(struct vivid_queue *q, unsigned int index)
{
	return vivid_try_buffer(q, index, VIDIOC_QBUF);
}

static int prepare_buffer(struct vivid_queue *q, unsigned int index)
{
	return vivid_try_buffer(q, index, VIDIOC_PREPARE_BUF);
}

FIXTURE(shadow)
{
	struct vivid_queue q;
	int dmabuf[BUFFERS];
	uint8_t *device;
};

/* vivid uses the CPU with every allocator, so the results must be the same. */
FIXTURE_VARIANT(shadow)
{
	int instance;
	int allocator;
};

FIXTURE_VARIANT_ADD(shadow, vmalloc) { .instance = 0 };
FIXTURE_VARIANT_ADD(shadow, dma_contig) { .instance = 3, .allocator = 1 };
FIXTURE_VARIANT_ADD(shadow, dma_sg) { .instance = 9, .allocator = 2 };

FIXTURE_SETUP(shadow)
{
	int i, ret;

	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);

	ret = open_capture(&self->q, variant->instance, "100% Color Squares");
	if (ret == -ENODEV)
		SKIP(return, "no instance %d of vivid", variant->instance);
	ASSERT_EQ(0, ret);
	if (allocator(variant->instance) != variant->allocator)
		SKIP(return, "the allocator of instance %d is another one",
		     variant->instance);

	self->device = malloc(SIZE + TAIL);
	ASSERT_NE(NULL, self->device);
	for (i = 0; i < BUFFERS; i++) {
		self->dmabuf[i] = shadow_heap_alloc(SIZE + TAIL);
		ASSERT_GE(self->dmabuf[i], 0);
		memset(self->device, POISON, SIZE + TAIL);
		ASSERT_EQ(0, shadow_device_write(self->dmabuf[i], self->device,
						 SIZE + TAIL));
	}
}

FIXTURE_TEARDOWN(shadow)
{
	int i;

	close(self->q.fd);
	for (i = 0; i < BUFFERS; i++)
		close(self->dmabuf[i]);
	free(self->device);
}

/* Devices see the picture, and behind it what they had written themselves. */
TEST_F_TIMEOUT(shadow, capture, 60)
{
	struct vivid_queue *q = &self->q;
	uint8_t *picture;
	int i;

	picture = take_picture(_metadata, q);
	ASSERT_EQ(0, vivid_alloc_dmabuf(q, BUFFERS, self->dmabuf, SIZE));
	for (i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, queue_buffer(q, i));
	ASSERT_EQ(0, vivid_streamon(q));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(i, vivid_dqbuf(q));
		EXPECT_TRUE(shadow_no_writer(self->dmabuf[i]));

		ASSERT_EQ(0, shadow_device_read(self->dmabuf[i], self->device,
						SIZE + TAIL));
		EXPECT_EQ(0, memcmp(self->device, picture, SIZE)) {
			TH_LOG("frame %d is%s what devices had before", i,
			       is_filled(self->device, POISON, SIZE) ?
			       "" : " not");
		}
		EXPECT_TRUE(is_filled(self->device + SIZE, POISON, TAIL));

		/* and so does a program that reads it */
		ASSERT_EQ(0, sync_begin(self->dmabuf[i], DMA_BUF_SYNC_READ));
		EXPECT_EQ(0, memcmp(q->mem[i], picture, SIZE));
		ASSERT_EQ(0, sync_end(self->dmabuf[i], DMA_BUF_SYNC_READ));
	}
	ASSERT_EQ(0, vivid_streamoff(q));
	ASSERT_EQ(0, vivid_free(q));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, BUFFERS));
	free(picture);
}

/* What a device wrote is what comes out. */
TEST_F_TIMEOUT(shadow, output, 60)
{
	struct vivid_queue *cap = &self->q;
	struct vivid_queue out = { };
	unsigned int number, other = 0;
	uint32_t *noise, *frame;
	bool seen = false;
	char name[32];
	int i;

	ASSERT_EQ(0, open_output(&out, variant->instance));
	snprintf(name, sizeof(name), "Output HDMI %03d-0", variant->instance);
	ASSERT_EQ(0, connect_input(cap->fd, variant->instance, name));
	noise = (uint32_t *)self->device;

	ASSERT_EQ(0, vivid_alloc_dmabuf(&out, BUFFERS, self->dmabuf, SIZE));
	ASSERT_EQ(0, vivid_alloc_mmap(cap, BUFFERS));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, vivid_qbuf(cap, i));
		fill_noise(noise, SIZE, i);
		ASSERT_EQ(0, shadow_device_write(self->dmabuf[i], noise, SIZE));
		ASSERT_EQ(0, queue_buffer(&out, i));
	}
	ASSERT_EQ(0, vivid_streamon(&out));
	ASSERT_EQ(0, vivid_streamon(cap));

	/* The last one shows again and again when there is no other. */
	do {
		i = vivid_dqbuf(cap);
		ASSERT_GE(i, 0);
		frame = cap->mem[i];
		number = frame[0];
		fill_noise(noise, SIZE, number);
		if (number < BUFFERS && !memcmp(frame, noise, SIZE)) {
			seen = true;
		} else {
			ASSERT_FALSE(seen);
			ASSERT_LT(++other, MAX_OTHER) {
				TH_LOG("nothing that was queued comes out");
			}
		}
		ASSERT_EQ(0, vivid_qbuf(cap, i));
	} while (!seen || number < BUFFERS - 1);

	/* vivid keeps the last one until there is another */
	for (i = 0; i < BUFFERS - 1; i++)
		ASSERT_EQ(i, vivid_dqbuf(&out));
	ASSERT_EQ(0, vivid_streamoff(cap));
	ASSERT_EQ(0, vivid_streamoff(&out));
	ASSERT_EQ(0, vivid_free(cap));
	ASSERT_EQ(0, vivid_free(&out));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, BUFFERS));
	close(out.fd);
}

/* The access also ends if a buffer is given back without a picture. */
TEST_F(shadow, cancel)
{
	int i;

	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->q, BUFFERS, self->dmabuf, SIZE));
	for (i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, queue_buffer(&self->q, i));
	ASSERT_EQ(0, vivid_streamoff(&self->q));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, BUFFERS));

	/* while it streams */
	for (i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, queue_buffer(&self->q, i));
	ASSERT_EQ(0, vivid_streamon(&self->q));
	ASSERT_EQ(0, vivid_streamoff(&self->q));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, BUFFERS));

	/* with the queue */
	for (i = 0; i < BUFFERS; i++)
		ASSERT_EQ(0, queue_buffer(&self->q, i));
	ASSERT_EQ(0, vivid_streamon(&self->q));
	close(self->q.fd);
	self->q.fd = -1;
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, BUFFERS));
}

/* The access to a prepared buffer ends, whether it was queued or not. */
TEST_F(shadow, prepare)
{
	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->q, 2, self->dmabuf, SIZE));
	ASSERT_EQ(0, prepare_buffer(&self->q, 0));
	ASSERT_EQ(0, queue_buffer(&self->q, 0));
	ASSERT_EQ(0, vivid_streamoff(&self->q));
	EXPECT_TRUE(shadow_no_writer(self->dmabuf[0]));

	ASSERT_EQ(0, prepare_buffer(&self->q, 0));
	ASSERT_EQ(0, vivid_free(&self->q));
	EXPECT_TRUE(shadow_no_writer(self->dmabuf[0]));
}

/* If a dma-buf takes the place of another, the access to both ends. */
TEST_F(shadow, replace)
{
	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->q, 2, self->dmabuf, SIZE));
	ASSERT_EQ(0, queue_buffer(&self->q, 0));
	ASSERT_EQ(0, vivid_streamoff(&self->q));
	EXPECT_TRUE(shadow_no_writer(self->dmabuf[0]));
	self->q.dmabuf[0] = self->dmabuf[2];
	ASSERT_EQ(0, queue_buffer(&self->q, 0));
	EXPECT_TRUE(shadow_no_writer(self->dmabuf[0]));
	ASSERT_EQ(0, vivid_free(&self->q));
	EXPECT_TRUE(shadow_no_writer(self->dmabuf[2]));
}

static bool device_sees(int dmabuf, const uint8_t *picture)
{
	uint8_t *device;
	bool seen;

	device = malloc(SIZE);
	seen = device && !shadow_device_read(dmabuf, device, SIZE) &&
	       !memcmp(device, picture, SIZE);
	free(device);

	return seen;
}

static int device_poison(int dmabuf)
{
	uint8_t *device;
	int ret;

	device = malloc(SIZE);
	if (!device)
		return -ENOMEM;
	memset(device, POISON, SIZE);
	ret = shadow_device_write(dmabuf, device, SIZE);
	free(device);

	return ret;
}

FIXTURE(overlap)
{
	struct vivid_queue cap;
	int dmabuf[2];
	uint8_t *picture;
};

/* A queue that captures into two buffers; POISON is what devices see there. */
FIXTURE_SETUP(overlap)
{
	int i, ret;

	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);

	ret = open_capture(&self->cap, 0, "100% Color Squares");
	if (ret == -ENODEV)
		SKIP(return, "no instance 0 of vivid");
	ASSERT_EQ(0, ret);
	self->picture = take_picture(_metadata, &self->cap);

	for (i = 0; i < 2; i++) {
		self->dmabuf[i] = shadow_heap_alloc(SIZE);
		ASSERT_GE(self->dmabuf[i], 0);
		ASSERT_EQ(0, device_poison(self->dmabuf[i]));
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->cap, 2, self->dmabuf, SIZE));
}

FIXTURE_TEARDOWN(overlap)
{
	int i;

	close(self->cap.fd);
	for (i = 0; i < 2; i++)
		close(self->dmabuf[i]);
	free(self->picture);
}

/* Waits until a buffer can be dequeued, and leaves it where it is. */
static int wait_done(struct vivid_queue *q)
{
	struct pollfd pollfd = { .fd = q->fd, .events = POLLIN };

	return poll(&pollfd, 1, -1) == 1 ? 0 : -errno;
}

/* Two queues capture into one buffer. Neither drops what the other wrote. */
TEST_F_TIMEOUT(overlap, two_captures, 60)
{
	struct vivid_queue *first = &self->cap, second = { };
	int dmabuf = self->dmabuf[0], ret;
	uint8_t *picture;

	ret = open_capture(&second, 1, "16x16 Checkers");
	if (ret == -ENODEV)
		SKIP(return, "no instance 1 of vivid");
	ASSERT_EQ(0, ret);
	picture = take_picture(_metadata, &second);
	ASSERT_NE(0, memcmp(picture, self->picture, SIZE));
	ASSERT_EQ(0, vivid_alloc_dmabuf(&second, 2, self->dmabuf, SIZE));

	/* the second one begins when the first one has its picture */
	ASSERT_EQ(0, vivid_qbuf(first, 0));
	ASSERT_EQ(0, vivid_streamon(first));
	ASSERT_EQ(0, wait_done(first));
	ASSERT_EQ(0, vivid_qbuf(&second, 0));
	ASSERT_EQ(0, vivid_dqbuf(first));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	EXPECT_EQ(0, memcmp(first->mem[0], self->picture, SIZE));
	ASSERT_EQ(0, vivid_streamon(&second));
	ASSERT_EQ(0, vivid_dqbuf(&second));
	EXPECT_TRUE(device_sees(dmabuf, picture));
	ASSERT_EQ(0, vivid_streamoff(first));

	/* and now the first one is queued, but gets no picture */
	ASSERT_EQ(0, device_poison(dmabuf));
	ASSERT_EQ(0, vivid_qbuf(first, 0));
	ASSERT_EQ(0, vivid_qbuf(&second, 0));
	ASSERT_EQ(0, vivid_dqbuf(&second));
	EXPECT_TRUE(device_sees(dmabuf, picture));
	ASSERT_EQ(0, vivid_streamoff(first));
	EXPECT_TRUE(device_sees(dmabuf, picture));
	EXPECT_EQ(0, memcmp(first->mem[0], picture, SIZE));

	close(second.fd);
	EXPECT_TRUE(shadow_no_writer(dmabuf));
	free(picture);
}

/* What is captured is what comes out, whichever queue was the first. */
TEST_F_TIMEOUT(overlap, capture_and_output, 60)
{
	struct vivid_queue *cap = &self->cap, out = { }, loop = { };
	unsigned int other;
	int i, n, ret;

	ret = open_capture(&loop, 1, "16x16 Checkers");
	if (ret == -ENODEV)
		SKIP(return, "no instance 1 of vivid");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, connect_input(loop.fd, 1, "Output HDMI 001-0"));
	ASSERT_EQ(0, open_output(&out, 1));
	ASSERT_EQ(0, vivid_alloc_dmabuf(&out, 2, self->dmabuf, SIZE));
	ASSERT_EQ(0, vivid_alloc_mmap(&loop, 2));

	for (i = 0; i < 2; i++) {
		if (i)
			ASSERT_EQ(0, vivid_qbuf(&out, i));
		ASSERT_EQ(0, vivid_qbuf(cap, i));
		ASSERT_EQ(0, vivid_streamon(cap));
		ASSERT_EQ(0, wait_done(cap));
		if (!i)
			ASSERT_EQ(0, vivid_qbuf(&out, i));
		ASSERT_EQ(i, vivid_dqbuf(cap));
		ASSERT_EQ(0, vivid_streamoff(cap));
		EXPECT_TRUE(device_sees(self->dmabuf[i], self->picture));

		ASSERT_EQ(0, vivid_streamon(&out));
		for (n = 0; n < 2; n++)
			ASSERT_EQ(0, vivid_qbuf(&loop, n));
		ASSERT_EQ(0, vivid_streamon(&loop));
		for (other = 0; other < MAX_OTHER; other++) {
			n = vivid_dqbuf(&loop);
			ASSERT_GE(n, 0);
			if (!memcmp(loop.mem[n], self->picture, SIZE))
				break;
			ASSERT_FALSE(is_filled(loop.mem[n], POISON, SIZE));
			ASSERT_EQ(0, vivid_qbuf(&loop, n));
		}
		EXPECT_LT(other, MAX_OTHER);
		ASSERT_EQ(0, vivid_streamoff(&loop));
		ASSERT_EQ(0, vivid_streamoff(&out));
	}
	close(out.fd);
	close(loop.fd);
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, 2));
}

/* Devices see what a program writes to a queued buffer. */
TEST_F(overlap, write_queued)
{
	struct vivid_queue *cap = &self->cap;
	int dmabuf = self->dmabuf[0];

	ASSERT_EQ(0, vivid_qbuf(cap, 0));
	ASSERT_EQ(0, sync_begin(dmabuf, DMA_BUF_SYNC_RW));
	memcpy(cap->mem[0], self->picture, SIZE);
	ASSERT_EQ(0, sync_end(dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_EQ(0, memcmp(cap->mem[0], self->picture, SIZE));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	ASSERT_EQ(0, vivid_streamoff(cap));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	EXPECT_TRUE(shadow_no_writer(dmabuf));
}

/* A program that syncs a queued buffer destroys no picture. */
TEST_F(overlap, sync_queued)
{
	struct vivid_queue *cap = &self->cap;
	int dmabuf = self->dmabuf[0];

	ASSERT_EQ(0, vivid_qbuf(cap, 0));
	ASSERT_EQ(0, vivid_streamon(cap));
	ASSERT_EQ(0, wait_done(cap));
	ASSERT_EQ(0, sync_begin(dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_EQ(0, memcmp(cap->mem[0], self->picture, SIZE));
	ASSERT_EQ(0, sync_end(dmabuf, DMA_BUF_SYNC_READ));
	ASSERT_EQ(0, sync_begin(dmabuf, DMA_BUF_SYNC_RW));
	ASSERT_EQ(0, vivid_dqbuf(cap));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));

	/* nor does an end for what began while it was queued */
	ASSERT_EQ(0, sync_end(dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	EXPECT_TRUE(shadow_no_writer(dmabuf));
}

/* An access that began before the buffer was queued ends too late. */
TEST_F(overlap, sync_before)
{
	struct vivid_queue *cap = &self->cap;
	int dmabuf = self->dmabuf[0];

	ASSERT_EQ(0, sync_begin(dmabuf, DMA_BUF_SYNC_RW));
	ASSERT_EQ(0, vivid_qbuf(cap, 0));
	ASSERT_EQ(0, vivid_streamon(cap));
	ASSERT_EQ(0, wait_done(cap));
	ASSERT_EQ(0, sync_end(dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_EQ(0, memcmp(cap->mem[0], self->picture, SIZE));
	ASSERT_EQ(0, vivid_dqbuf(cap));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));

	/* and an end without a begin */
	ASSERT_EQ(0, sync_end(dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	EXPECT_TRUE(shadow_no_writer(dmabuf));
}

/* What a program writes is synced while a queue reads the buffer. */
TEST_F(overlap, sync_output)
{
	int dmabuf = self->dmabuf[0], ret;
	struct vivid_queue out = { };

	ret = open_output(&out, 1);
	if (ret == -ENODEV)
		SKIP(return, "no instance 1 of vivid");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, vivid_alloc_dmabuf(&out, 2, self->dmabuf, SIZE));
	ASSERT_EQ(0, vivid_qbuf(&out, 0));
	ASSERT_EQ(0, sync_begin(dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(is_filled(out.mem[0], POISON, SIZE));
	memcpy(out.mem[0], self->picture, SIZE);
	ASSERT_EQ(0, sync_end(dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	EXPECT_EQ(0, memcmp(out.mem[0], self->picture, SIZE));

	/* and the CPU sees what devices write */
	EXPECT_TRUE(shadow_no_writer(dmabuf));
	ASSERT_EQ(0, vivid_streamoff(&out));
	EXPECT_TRUE(device_sees(dmabuf, self->picture));
	close(out.fd);
}

/* Begins to access the buffer in a process that is then killed. */
static bool begin_and_die(int dmabuf)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (!sync_begin(dmabuf, DMA_BUF_SYNC_RW))
			raise(SIGKILL);
		_exit(1);
	}

	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* A begin without an end hides nothing from devices, nor from the CPU. */
TEST_F_TIMEOUT(overlap, killed, 60)
{
	struct vivid_queue *cap = &self->cap;
	int round, i;

	/* one before the buffer is queued, and one after that */
	ASSERT_TRUE(begin_and_die(self->dmabuf[0]));
	ASSERT_EQ(0, vivid_qbuf(cap, 0));
	ASSERT_EQ(0, vivid_qbuf(cap, 1));
	ASSERT_TRUE(begin_and_die(self->dmabuf[1]));

	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, vivid_streamon(cap));
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(i, vivid_dqbuf(cap));
			EXPECT_TRUE(device_sees(self->dmabuf[i],
						self->picture));
		}
		ASSERT_EQ(0, vivid_streamoff(cap));

		for (i = 0; i < 2 && !round; i++) {
			ASSERT_EQ(0, device_poison(self->dmabuf[i]));
			ASSERT_EQ(0, vivid_qbuf(cap, i));
		}
	}
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, 2));
}

TEST_HARNESS_MAIN
