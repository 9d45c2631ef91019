// SPDX-License-Identifier: GPL-2.0
/*
 * Whether what the CPU writes to a dma-buf and what devices have written to it
 * get over to the other side, DMA_BUF_IOCTL_SYNC being the only help.
 *
 * Nothing here does DMA, but a mapping for DMA there is: vivid makes one for
 * each buffer that it imports with the dma-contig allocator. A bounce buffer in
 * between shows what is synced. It has what was in memory when the dma-buf was
 * mapped, and what a device would have written is in there.
 *
 * Needs root, debugfs, a bounce buffer for each mapping, and nobody else who
 * takes or frees such buffers at the time. Instance 0 of vivid with the default
 * allocator, instance 3 with dma-contig:
 *
 *	swiotlb=force
 *	modprobe vivid n_devs=4 allocators=0,0,0,1 cache_hints=0,0,0,1
 */

#include <sched.h>

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "vivid.h"

/* One chunk of the system heap: with a hole in it dma-contig refuses it. */
#define SIDE		128U
#define SIZE		(SIDE * SIDE * 4)

#define INSTANCE	"/sys/kernel/tracing/instances/vivid_dmabuf_sync"
#define EVENT		INSTANCE "/events/dma/dma_sync_sg_for_device/enable"

#define BOUNCE_USED	"/sys/kernel/debug/swiotlb/io_tlb_used"
#define BOUNCE_SLOT	2048

/* How many bytes of bounce buffers are in use, or -errno. */
static long bounce_used(void)
{
	long slots = -EIO;
	FILE *file;

	file = fopen(BOUNCE_USED, "r");
	if (!file)
		return -errno;
	if (fscanf(file, "%ld", &slots) == 1)
		slots *= BOUNCE_SLOT;
	fclose(file);

	return slots;
}

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

/* A buffer that vivid allocated with dma-contig, in memory that is cached. */
static int dma_contig_alloc(size_t size)
{
	struct v4l2_requestbuffers req = {
		.count = 1,
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP,
		.flags = V4L2_MEMORY_FLAG_NON_COHERENT,
	};
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int ret;

	q.fd = open_node("vivid-003-vid-cap", q.type);
	if (q.fd < 0)
		return q.fd;

	ret = v4l2_ioctl(q.fd, VIDIOC_REQBUFS, &req);
	if (!ret && !(req.flags & V4L2_MEMORY_FLAG_NON_COHERENT))
		ret = -EINVAL;
	if (!ret)
		ret = vivid_export(&q, 0);
	/* the dma-buf keeps the buffer */
	close(q.fd);

	return ret;
}

FIXTURE(sync)
{
	int dmabuf;
	uint8_t *mem;
	struct vivid_queue device;
};

/* An exporter may map the buffer for a device of its own that writes to it. */
FIXTURE_VARIANT(sync)
{
	int (*alloc)(size_t size);
	unsigned int own;
};

FIXTURE_VARIANT_ADD(sync, system_heap) { .alloc = system_heap_alloc };
FIXTURE_VARIANT_ADD(sync, cma_heap) { .alloc = cma_heap_alloc };
FIXTURE_VARIANT_ADD(sync, udmabuf) { .alloc = udmabuf_alloc };
FIXTURE_VARIANT_ADD(sync, udmabuf_hugetlb) { .alloc = udmabuf_hugetlb_alloc };
FIXTURE_VARIANT_ADD(sync, dma_contig) {
	.alloc = dma_contig_alloc,
	.own = 1,
};

FIXTURE_SETUP(sync)
{
	cpu_set_t cpu;

	/*
	 * Each CPU takes bounce buffers from a place of its own. dma-contig
	 * wants those of scattered pages to lie one behind the other.
	 */
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(cpu), &cpu));

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
	ASSERT_EQ(0, vivid_qbuf(q, 0));

	/* there is something to see only if there is a bounce buffer */
	if (bounce_used() < used + SIZE)
		SKIP(return false, "%s needs no bounce buffer", name);

	return true;
}

/* How many mappings for a device that reads were synced for it, and others. */
static bool read_trace(unsigned int *to_device, unsigned int *others)
{
	char line[4096];
	FILE *trace;

	trace = fopen(INSTANCE "/trace", "r");
	if (!trace)
		return false;
	*to_device = 0;
	*others = 0;
	while (fgets(line, sizeof(line), trace)) {
		if (!strstr(line, " dma_sync_sg_for_device: vivid"))
			continue;
		if (strstr(line, " dir=TO_DEVICE "))
			++*to_device;
		else
			++*others;
	}
	fclose(trace);

	return true;
}

/*
 * A device reads the buffer. What it had to read before must not come back, and
 * it has to get what the CPU wrote.
 */
TEST_F(sync, to_device)
{
	struct vivid_queue cap = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int both[2] = { self->dmabuf, self->dmabuf };
	unsigned int to_device, others;
	uint8_t *picture;

	self->device.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	if (!map_for_device(_metadata, &self->device, "vivid-003-vid-out",
			    self->dmabuf))
		return;

	/* A camera without DMA takes a picture, twice for comparison. */
	picture = malloc(SIZE);
	ASSERT_NE(NULL, picture);
	cap.fd = open_node("vivid-000-vid-cap", cap.type);
	ASSERT_GE(cap.fd, 0);
	ASSERT_EQ(0, vivid_set_menu(cap.fd, "HDMI 000-0 Is Connected To",
				    "Test Pattern Generator"));
	ASSERT_EQ(0, vivid_set_menu(cap.fd, "Test Pattern",
				    "100% Color Squares"));
	ASSERT_EQ(0, vivid_set_menu(cap.fd, "Horizontal Movement",
				    "No Movement"));
	ASSERT_EQ(0, vivid_set_menu(cap.fd, "OSD Text Mode", "None"));
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
	rmdir(INSTANCE);
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_TRUE(write_file(EVENT, "1"));
	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_RW));
	memset(self->mem, 0xc3, SIZE);
	ASSERT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_RW));
	ASSERT_TRUE(write_file(EVENT, "0"));
	ASSERT_TRUE(read_trace(&to_device, &others));
	EXPECT_EQ(1U, to_device);
	EXPECT_EQ(variant->own, others);
	EXPECT_TRUE(is_filled(self->mem, 0xc3, SIZE));

	EXPECT_EQ(0, vivid_free(&cap));
	EXPECT_EQ(0, vivid_free(&self->device));
	close(cap.fd);
	free(picture);
}

/*
 * A device writes to the buffer. A program that changes half of it gets the
 * device's data first, and nobody takes its own ones away.
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

TEST_HARNESS_MAIN
