// SPDX-License-Identifier: GPL-2.0
/*
 * Test that DMA_BUF_IOCTL_SYNC alone makes what the CPU writes to a dma-buf
 * visible to devices, and what devices write to it visible to the CPU.
 *
 * Nothing here does DMA, but a mapping for DMA there is: vivid makes one for
 * each buffer that it imports with the dma-contig allocator. A bounce buffer in
 * between shows what is synced. It has what was in memory when the dma-buf was
 * mapped, and what a device would have written is in there. The trace events of
 * the DMA API show how often it is synced, and in which direction.
 *
 * Needs root, debugfs, tracefs, a bounce buffer for each mapping, and nobody
 * else who takes or frees such buffers at the time. Instance 0 of vivid with
 * the default allocator, instance 3 with dma-contig, instance 9 with dma-sg:
 *
 *	swiotlb=force
 *	modprobe vivid n_devs=10 cache_hints=0,0,0,1 \
 *		allocators=0,0,0,1,0,0,0,0,0,2
 */

#include <poll.h>

#include "../../kselftest_harness.h"
#include "bounce_buffer.h"
#include "dmabuf_exporters.h"
#include "vivid.h"

/* One chunk of the system heap, since dma-contig refuses scattered memory. */
#define SIDE		128U
#define SIZE		(SIDE * SIDE * 4)

#define FRAMES		8

#define INSTANCE	"/sys/kernel/tracing/instances/vivid_dmabuf_sync"
#define EVENTS		INSTANCE "/events/dma/"

static int open_node(const char *name, enum v4l2_buf_type type)
{
	int fd, ret;

	fd = vivid_open(name);
	if (fd < 0)
		return fd;

	if (type == V4L2_BUF_TYPE_VIDEO_CAPTURE)
		ret = vivid_set_input(fd, "HDMI");
	else
		ret = vivid_set_output(fd, "HDMI");
	if (!ret)
		ret = vivid_set_timings(fd);
	if (!ret)
		ret = vivid_set_format(fd, type, SIDE, SIDE);
	if (ret) {
		close(fd);
		return ret;
	}

	return fd;
}

/* A picture that does not move, for the camera with the control @connected */
static int show_squares(int fd, const char *connected)
{
	if (vivid_set_menu(fd, connected, "Test Pattern Generator") ||
	    vivid_set_menu(fd, "Test Pattern", "100% Color Squares") ||
	    vivid_set_menu(fd, "Horizontal Movement", "No Movement") ||
	    vivid_set_menu(fd, "OSD Text Mode", "None"))
		return -EIO;

	return 0;
}

/* Exports a buffer that vivid allocated. The dma-buf outlives the queue. */
static int node_alloc(const char *name, unsigned int flags)
{
	struct v4l2_requestbuffers req = {
		.count = 1,
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
		.flags = flags,
	};
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int ret;

	q.fd = open_node(name, q.type);
	if (q.fd < 0)
		return q.fd;

	ret = v4l2_ioctl(q.fd, VIDIOC_REQBUFS, &req);
	if (!ret && req.flags != flags)
		ret = -EINVAL;
	if (!ret)
		ret = vivid_export(&q, 0);
	close(q.fd);

	return ret;
}

/* in cached memory */
static int dma_contig_alloc(size_t size)
{
	return node_alloc("vivid-003-vid-cap", V4L2_MEMORY_FLAG_NON_COHERENT);
}

static int dma_sg_alloc(size_t size)
{
	return node_alloc("vivid-009-vid-cap", 0);
}

static int vmalloc_alloc(size_t size)
{
	return node_alloc("vivid-000-vid-cap", 0);
}

FIXTURE(sync)
{
	int dmabuf;
	uint8_t *mem;
	struct vivid_queue device;
};

FIXTURE_VARIANT(sync)
{
	int (*alloc)(size_t size);
};

FIXTURE_VARIANT_ADD(sync, system_heap) { .alloc = system_heap_alloc };
FIXTURE_VARIANT_ADD(sync, cma_heap) { .alloc = cma_heap_alloc };
FIXTURE_VARIANT_ADD(sync, udmabuf) { .alloc = udmabuf_alloc };
FIXTURE_VARIANT_ADD(sync, udmabuf_hugetlb) { .alloc = udmabuf_hugetlb_alloc };
FIXTURE_VARIANT_ADD(sync, vmalloc) { .alloc = vmalloc_alloc };
FIXTURE_VARIANT_ADD(sync, dma_contig) { .alloc = dma_contig_alloc };
FIXTURE_VARIANT_ADD(sync, dma_sg) { .alloc = dma_sg_alloc };

FIXTURE_SETUP(sync)
{
	stay_on_cpu(_metadata);
	self->device.fd = -1;
	self->dmabuf = variant->alloc(SIZE);
	if (self->dmabuf == -ENODEV)
		SKIP(return, "no such exporter");
	ASSERT_GE(self->dmabuf, 0);
	self->mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(sync)
{
	munmap(self->mem, SIZE);
	close(self->device.fd);
	close(self->dmabuf);
	rmdir(INSTANCE);
}

/*
 * Maps the dma-buf for a device that will read it, or will write to it. POISON
 * is what the bounce buffer has. Returns false to skip the test.
 */
static bool map_for_device(struct __test_metadata *_metadata,
			   struct vivid_queue *q, const char *name, int dmabuf)
{
	int both[2] = { dmabuf, dmabuf };
	long used;

	q->fd = open_node(name, q->type);
	if (q->fd == -ENODEV)
		SKIP(return false, "no %s", name);
	ASSERT_GE(q->fd, 0);
	ASSERT_EQ(0, vivid_alloc_dmabuf(q, 2, both, SIZE));
	ASSERT_EQ(0, vivid_poison(q, 0));
	used = bounce_used();
	ASSERT_GE(used, 0);
	/* the queue keeps the mapping, and does not write to it by the CPU */
	ASSERT_EQ(0, vivid_try_buffer(q, 0, VIDIOC_QBUF));
	ASSERT_EQ(0, vivid_streamoff(q));

	/* there is something to see only if there is a bounce buffer */
	if (bounce_used() < used + SIZE)
		SKIP(return false, "%s needs no bounce buffer", name);

	return true;
}

/* A mapping of vivid, from the trace events of the DMA API */
struct mapping {
	char direction[16];
	unsigned long long addr;
};

/* How often a mapping was synced for the CPU and for its device, and others */
struct syncs {
	unsigned int cpu;
	unsigned int device;
	unsigned int dropped;	/* from the caches, as nobody wrote */
	unsigned int wrong;	/* direction or order */
	unsigned int other_cpu;
	unsigned int other_device;
};

static bool trace_start(void)
{
	rmdir(INSTANCE);

	return !mkdir(INSTANCE, 0700) &&
	       write_file(EVENTS "dma_map_sg/enable", "1") &&
	       write_file(EVENTS "dma_sync_sg_for_cpu/enable", "1") &&
	       write_file(EVENTS "dma_sync_sg_for_device/enable", "1");
}

static bool trace_clear(void)
{
	FILE *trace = fopen(INSTANCE "/trace", "w");

	return trace && !fclose(trace);
}

/* Whether a line of the trace has the event @name, and for which mapping */
static bool is_event(const char *line, const char *name, struct mapping *m)
{
	const char *event, *dir, *addr;
	char start[64];

	snprintf(start, sizeof(start), " %s: vivid", name);
	event = strstr(line, start);
	if (!event)
		return false;
	dir = strstr(event, " dir=");
	addr = strstr(event, " dma_addrs={");

	return dir && sscanf(dir, " dir=%15s", m->direction) == 1 &&
	       addr && sscanf(addr, " dma_addrs={%llx", &m->addr) == 1;
}

/* The mapping that was made last since the trace was started */
static bool trace_mapping(struct mapping *m)
{
	bool found = false;
	struct mapping any;
	char line[4096];
	FILE *trace;

	trace = fopen(INSTANCE "/trace", "r");
	if (!trace)
		return false;
	while (fgets(line, sizeof(line), trace)) {
		if (is_event(line, "dma_map_sg", &any)) {
			*m = any;
			found = true;
		}
	}
	fclose(trace);

	return found;
}

/* @m: the mapping to count, or NULL; all others are counted together */
static bool trace_syncs(const struct mapping *m, struct syncs *syncs)
{
	struct mapping any;
	bool cpu, device;
	char line[4096];
	FILE *trace;

	memset(syncs, 0, sizeof(*syncs));
	trace = fopen(INSTANCE "/trace", "r");
	if (!trace)
		return false;
	while (fgets(line, sizeof(line), trace)) {
		cpu = is_event(line, "dma_sync_sg_for_cpu", &any);
		device = !cpu &&
			 is_event(line, "dma_sync_sg_for_device", &any);
		if (!m || any.addr != m->addr) {
			syncs->other_cpu += cpu;
			syncs->other_device += device;
			continue;
		}
		if (device && !strcmp(any.direction, "FROM_DEVICE")) {
			syncs->dropped++;
			continue;
		}
		syncs->cpu += cpu;
		syncs->device += device;
		if ((cpu || device) && strcmp(any.direction, m->direction))
			syncs->wrong++;
		if (cpu && syncs->device)
			syncs->wrong++;
	}
	fclose(trace);

	return true;
}

static bool is_to_device(const struct mapping *m)
{
	return !strcmp(m->direction, "TO_DEVICE");
}

/*
 * Maps the dma-buf as map_for_device() does, while the events are traced, and
 * tells how it is mapped. Returns false to skip the test.
 */
static bool map_traced(struct __test_metadata *_metadata,
		       struct vivid_queue *q, const char *name, int dmabuf,
		       struct mapping *m)
{
	if (!trace_start())
		SKIP(return false, "no trace events of the DMA API");
	if (!map_for_device(_metadata, q, name, dmabuf))
		return false;
	ASSERT_TRUE(trace_mapping(m));
	ASSERT_EQ(q->type == V4L2_BUF_TYPE_VIDEO_OUTPUT, is_to_device(m));

	return true;
}

/*
 * The CPU fills or reads buffers of the queue. The mapping of buffer 0, or of
 * all buffers if they are one dma-buf, is synced as often as is needed for each
 * frame, and with the right direction.
 *
 * @m: this mapping, or NULL if there is none
 * @own: the number of other mappings, which devices write to
 */
static void count_frames(struct __test_metadata *_metadata,
			 struct vivid_queue *q, const struct mapping *m,
			 unsigned int own)
{
	bool writes = q->type == V4L2_BUF_TYPE_VIDEO_CAPTURE;
	unsigned int i, done, index = 0;
	struct syncs syncs;
	bool mapped;

	/* vivid keeps the last frame of the output until it has another */
	if (!writes)
		ASSERT_EQ(0, vivid_qbuf(q, 1));

	for (i = 0; i < FRAMES; i++) {
		ASSERT_TRUE(trace_clear());
		ASSERT_EQ(0, vivid_try_buffer(q, index, VIDIOC_QBUF));
		if (!i)
			ASSERT_EQ(0, vivid_streamon(q));
		done = writes ? index : !index;
		ASSERT_EQ(done, vivid_dqbuf(q));
		ASSERT_TRUE(trace_syncs(m, &syncs));

		mapped = m && (q->memory == V4L2_MEMORY_DMABUF || !index);
		EXPECT_EQ(mapped && !is_to_device(m), syncs.cpu);
		EXPECT_EQ(mapped && writes, syncs.device);
		mapped = m && (q->memory == V4L2_MEMORY_DMABUF || !done);
		EXPECT_EQ(mapped && !writes && !is_to_device(m), syncs.dropped);
		EXPECT_EQ(0, syncs.wrong);
		EXPECT_EQ(own, syncs.other_cpu);
		EXPECT_EQ(own, syncs.other_device);

		if (!writes)
			index = !index;
	}
	ASSERT_EQ(0, vivid_streamoff(q));
}

/* The same for a dma-buf that instance 0 imports to fill it and to read it */
static void count_imported(struct __test_metadata *_metadata, int dmabuf,
			   const struct mapping *m)
{
	struct vivid_queue cap = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct vivid_queue out = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	int both[2] = { dmabuf, dmabuf };

	cap.fd = open_node("vivid-000-vid-cap", cap.type);
	ASSERT_GE(cap.fd, 0);
	ASSERT_EQ(0, vivid_alloc_dmabuf(&cap, 2, both, SIZE));
	count_frames(_metadata, &cap, m, 0);
	EXPECT_EQ(0, vivid_free(&cap));
	close(cap.fd);

	out.fd = open_node("vivid-000-vid-out", out.type);
	ASSERT_GE(out.fd, 0);
	ASSERT_EQ(0, vivid_alloc_dmabuf(&out, 2, both, SIZE));
	count_frames(_metadata, &out, m, 0);
	EXPECT_EQ(0, vivid_free(&out));
	close(out.fd);
}

/*
 * A device reads the buffer. The old contents of its bounce buffer must not
 * come back, and it has to get what the CPU wrote.
 */
TEST_F(sync, to_device)
{
	struct vivid_queue cap = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int both[2] = { self->dmabuf, self->dmabuf };
	struct mapping mapping;
	struct syncs syncs;
	uint8_t *picture;

	self->device.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	if (!map_traced(_metadata, &self->device, "vivid-003-vid-out",
			self->dmabuf, &mapping))
		return;

	/* A camera without DMA takes a picture, twice for comparison. */
	picture = malloc(SIZE);
	ASSERT_NE(NULL, picture);
	cap.fd = open_node("vivid-000-vid-cap", cap.type);
	ASSERT_GE(cap.fd, 0);
	ASSERT_EQ(0, show_squares(cap.fd, "HDMI 000-0 Is Connected To"));
	ASSERT_EQ(0, vivid_alloc_mmap(&cap, 2));
	ASSERT_EQ(0, vivid_take_pictures(&cap));
	ASSERT_EQ(SIZE, cap.size);
	memcpy(picture, cap.mem[0], SIZE);
	ASSERT_EQ(0, vivid_free(&cap));
	ASSERT_FALSE(is_filled(picture, picture[0], SIZE));
	ASSERT_EQ(0, vivid_alloc_dmabuf(&cap, 2, both, SIZE));
	ASSERT_EQ(0, vivid_take_pictures(&cap));

	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_EQ(0, memcmp(self->mem, picture, SIZE)) {
		TH_LOG("the picture is%s what was in memory before",
		       is_filled(self->mem, POISON, SIZE) ? "" : " not");
	}
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_READ));

	/* What the device would read cannot be seen, only that it is synced. */
	ASSERT_TRUE(trace_clear());
	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_RW));
	memset(self->mem, 0xc3, SIZE);
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_RW));
	ASSERT_TRUE(trace_syncs(&mapping, &syncs));
	EXPECT_EQ(0, syncs.cpu);
	EXPECT_EQ(1, syncs.device);
	EXPECT_EQ(0, syncs.wrong);
	EXPECT_EQ(0, syncs.other_device);
	EXPECT_TRUE(is_filled(self->mem, 0xc3, SIZE));

	EXPECT_EQ(0, vivid_free(&cap));
	EXPECT_EQ(0, vivid_free(&self->device));
	close(cap.fd);
	free(picture);
}

/*
 * A device writes to the buffer. A program that changes half of it gets the
 * device's data first, and does not lose its own.
 */
TEST_F(sync, from_device)
{
	/* What the bounce buffer has is what the device writes. */
	self->device.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	if (!map_for_device(_metadata, &self->device, "vivid-003-vid-cap",
			    self->dmabuf))
		return;
	memset(self->mem, 0xa5, SIZE);

	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_WRITE));
	EXPECT_TRUE(is_filled(self->mem, POISON, SIZE));
	memset(self->mem, 0xc3, SIZE / 2);
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_WRITE));

	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(is_filled(self->mem, 0xc3, SIZE / 2));
	EXPECT_TRUE(is_filled(self->mem + SIZE / 2, POISON, SIZE / 2));
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_READ));

	/* Nor is anything lost that the device has when it unmaps. */
	memset(self->mem, 0xa5, SIZE);
	ASSERT_EQ(0, vivid_free(&self->device));
	EXPECT_TRUE(is_filled(self->mem, 0xc3, SIZE / 2));
	EXPECT_TRUE(is_filled(self->mem + SIZE / 2, POISON, SIZE / 2));
}

/* The CPU fills or reads frames that a device has mapped to read them. */
TEST_F(sync, frames_to_device)
{
	struct mapping mapping;

	self->device.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	if (!map_traced(_metadata, &self->device, "vivid-003-vid-out",
			self->dmabuf, &mapping))
		return;
	count_imported(_metadata, self->dmabuf, &mapping);
	EXPECT_EQ(0, vivid_free(&self->device));
}

/* ... or to write to them */
TEST_F(sync, frames_from_device)
{
	struct mapping mapping;

	self->device.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	if (!map_traced(_metadata, &self->device, "vivid-003-vid-cap",
			self->dmabuf, &mapping))
		return;
	count_imported(_metadata, self->dmabuf, &mapping);
	EXPECT_EQ(0, vivid_free(&self->device));
}

/* There is nothing to sync when no device has the buffer mapped any more. */
TEST_F(sync, frames_unmapped)
{
	struct mapping mapping;

	self->device.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	if (!map_traced(_metadata, &self->device, "vivid-003-vid-cap",
			self->dmabuf, &mapping))
		return;
	ASSERT_EQ(0, vivid_free(&self->device));
	count_imported(_metadata, self->dmabuf, NULL);
}

/* A device unmaps the buffer while a camera fills it with the CPU. */
TEST_F(sync, unmapped_while_filled)
{
	struct vivid_queue cap = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int both[2] = { self->dmabuf, self->dmabuf };
	struct pollfd done = { .events = POLLIN };
	uint8_t *picture;

	/* the picture, for comparison */
	picture = malloc(SIZE);
	ASSERT_NE(NULL, picture);
	cap.fd = open_node("vivid-001-vid-cap", cap.type);
	if (cap.fd == -ENODEV)
		SKIP(return, "no instance 1 of vivid");
	ASSERT_GE(cap.fd, 0);
	ASSERT_EQ(0, show_squares(cap.fd, "HDMI 001-0 Is Connected To"));
	ASSERT_EQ(0, vivid_alloc_dmabuf(&cap, 2, both, SIZE));
	ASSERT_EQ(0, vivid_take_pictures(&cap));
	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_READ));
	memcpy(picture, self->mem, SIZE);
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_READ));
	ASSERT_FALSE(is_filled(picture, picture[0], SIZE));

	self->device.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	if (!map_for_device(_metadata, &self->device, "vivid-003-vid-cap",
			    self->dmabuf))
		return;

	ASSERT_EQ(0, vivid_qbuf(&cap, 0));
	ASSERT_EQ(0, vivid_streamon(&cap));
	done.fd = cap.fd;
	ASSERT_EQ(1, poll(&done, 1, -1));
	ASSERT_EQ(0, vivid_free(&self->device));
	ASSERT_EQ(0, vivid_dqbuf(&cap));
	ASSERT_EQ(0, vivid_streamoff(&cap));

	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_EQ(0, memcmp(self->mem, picture, SIZE)) {
		TH_LOG("the picture is%s what the device had",
		       is_filled(self->mem, POISON, SIZE) ? "" : " not");
	}
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_READ));

	EXPECT_EQ(0, vivid_free(&cap));
	close(cap.fd);
	free(picture);
}

/*
 * The allocator of instance 3 has the buffer mapped for a device, too, though
 * it is the CPU that fills it.
 */
TEST_F(sync, frames_of_driver)
{
	struct vivid_queue cap = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int both[2] = { self->dmabuf, self->dmabuf };
	struct mapping mapping;

	self->device.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	if (!map_traced(_metadata, &self->device, "vivid-003-vid-out",
			self->dmabuf, &mapping))
		return;

	cap.fd = open_node("vivid-003-vid-cap", cap.type);
	ASSERT_GE(cap.fd, 0);
	ASSERT_EQ(0, vivid_alloc_dmabuf(&cap, 2, both, SIZE));
	count_frames(_metadata, &cap, &mapping, 1);
	EXPECT_EQ(0, vivid_free(&cap));
	EXPECT_EQ(0, vivid_free(&self->device));
	close(cap.fd);
}

FIXTURE(sync_own)
{
	struct vivid_queue cpu;
	struct vivid_queue device;
	int dmabuf;
};

/* The queues of the CPU and of the device */
FIXTURE_VARIANT(sync_own)
{
	enum v4l2_buf_type cpu;
	enum v4l2_buf_type device;
};

FIXTURE_VARIANT_ADD(sync_own, write_to_device) {
	.cpu = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.device = V4L2_BUF_TYPE_VIDEO_OUTPUT,
};

FIXTURE_VARIANT_ADD(sync_own, write_from_device) {
	.cpu = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.device = V4L2_BUF_TYPE_VIDEO_CAPTURE,
};

FIXTURE_VARIANT_ADD(sync_own, read_to_device) {
	.cpu = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.device = V4L2_BUF_TYPE_VIDEO_OUTPUT,
};

FIXTURE_VARIANT_ADD(sync_own, read_from_device) {
	.cpu = V4L2_BUF_TYPE_VIDEO_OUTPUT,
	.device = V4L2_BUF_TYPE_VIDEO_CAPTURE,
};

FIXTURE_SETUP(sync_own)
{
	bool capture = variant->cpu == V4L2_BUF_TYPE_VIDEO_CAPTURE;

	stay_on_cpu(_metadata);
	self->device.fd = -1;
	self->device.type = variant->device;
	self->dmabuf = -1;
	self->cpu.type = variant->cpu;
	self->cpu.fd = open_node(capture ? "vivid-000-vid-cap" :
				 "vivid-000-vid-out", self->cpu.type);
	if (self->cpu.fd == -ENODEV)
		SKIP(return, "no instance 0 of vivid");
	ASSERT_GE(self->cpu.fd, 0);
	ASSERT_EQ(0, vivid_alloc_mmap(&self->cpu, 2));
	ASSERT_EQ(SIZE, self->cpu.size);
	self->dmabuf = vivid_export(&self->cpu, 0);
	ASSERT_GE(self->dmabuf, 0);
}

FIXTURE_TEARDOWN(sync_own)
{
	close(self->device.fd);
	close(self->dmabuf);
	close(self->cpu.fd);
	rmdir(INSTANCE);
}

/* The CPU accesses what vivid has allocated, and a device has imported it. */
TEST_F(sync_own, frames)
{
	bool capture = variant->device == V4L2_BUF_TYPE_VIDEO_CAPTURE;
	struct mapping mapping;

	if (!map_traced(_metadata, &self->device, capture ?
			"vivid-003-vid-cap" : "vivid-003-vid-out",
			self->dmabuf, &mapping))
		return;
	count_frames(_metadata, &self->cpu, &mapping, 0);
	EXPECT_EQ(0, vivid_free(&self->device));
	count_frames(_metadata, &self->cpu, NULL, 0);
}

TEST_HARNESS_MAIN
