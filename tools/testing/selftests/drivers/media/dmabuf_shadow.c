// SPDX-License-Identifier: GPL-2.0
/*
 * Tests that the shadow heap reveals wrong use of DMA_BUF_IOCTL_SYNC by a
 * program, and that correct use works.
 *
 * Needs root, debugfs and CONFIG_DMABUF_HEAPS_SHADOW.
 */

#include "../../kselftest_harness.h"
#include "dmabuf_shadow.h"
#include "vivid.h"

/* the size of a picture, longer than one segment of a mapping */
#define SIZE		(640U * 360 * 4)
#define HALF		(SIZE / 2)

struct buffer {
	int dmabuf;
	uint8_t *mem;
	uint8_t *device;
};

FIXTURE(shadow)
{
	struct buffer buf;
};

FIXTURE_SETUP(shadow)
{
	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);

	self->buf.device = malloc(SIZE);
	ASSERT_NE(NULL, self->buf.device);
	self->buf.dmabuf = shadow_heap_alloc(SIZE);
	ASSERT_GE(self->buf.dmabuf, 0);
	self->buf.mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			     self->buf.dmabuf, 0);
	ASSERT_NE(MAP_FAILED, self->buf.mem);
}

FIXTURE_TEARDOWN(shadow)
{
	munmap(self->buf.mem, SIZE);
	close(self->buf.dmabuf);
	free(self->buf.device);
}

static void device_fill(struct __test_metadata *_metadata,
			struct buffer *buf, uint8_t byte)
{
	memset(buf->device, byte, SIZE);
	ASSERT_EQ(0, shadow_device_write(buf->dmabuf, buf->device, SIZE));
}

/* Is this what devices see in the first and in the second half? */
static bool device_has(struct buffer *buf, uint8_t first, uint8_t second)
{
	return !shadow_device_read(buf->dmabuf, buf->device, SIZE) &&
	       is_filled(buf->device, first, HALF) &&
	       is_filled(buf->device + HALF, second, HALF);
}

static bool cpu_has(struct buffer *buf, uint8_t first, uint8_t second)
{
	return is_filled(buf->mem, first, HALF) &&
	       is_filled(buf->mem + HALF, second, HALF);
}

/* Without a sync, reads return old data and writes do not reach devices. */
TEST_F(shadow, without_sync)
{
	device_fill(_metadata, &self->buf, 1);
	EXPECT_TRUE(cpu_has(&self->buf, 0, 0));
	memset(self->buf.mem, 2, SIZE);
	EXPECT_TRUE(device_has(&self->buf, 1, 1));
	EXPECT_EQ(0, shadow_count(self->buf.dmabuf, "begins"));
	EXPECT_EQ(0, shadow_count(self->buf.dmabuf, "ends"));

	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(cpu_has(&self->buf, 1, 1));
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_EQ(1, shadow_count(self->buf.dmabuf, "begins"));
	EXPECT_EQ(1, shadow_count(self->buf.dmabuf, "ends"));
}

TEST_F(shadow, with_sync)
{
	EXPECT_TRUE(device_has(&self->buf, 0, 0));
	device_fill(_metadata, &self->buf, 1);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(cpu_has(&self->buf, 1, 1));
	memset(self->buf.mem, 2, HALF);
	EXPECT_TRUE(device_has(&self->buf, 1, 1));
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(device_has(&self->buf, 2, 1));

	/* what is written after the end does not reach devices */
	memset(self->buf.mem, 3, SIZE);
	EXPECT_TRUE(device_has(&self->buf, 2, 1));
}

/* A partial write leaves the rest as it was. */
TEST_F(shadow, write_part)
{
	device_fill(_metadata, &self->buf, 1);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_WRITE));
	memset(self->buf.mem, 2, HALF);
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_WRITE));
	EXPECT_TRUE(device_has(&self->buf, 2, 1));
}

/* A write during a read access does not reach devices. */
TEST_F(shadow, write_while_reading)
{
	device_fill(_metadata, &self->buf, 1);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	memset(self->buf.mem, 2, SIZE);
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(device_has(&self->buf, 1, 1));
}

/* A program need not end an access: that does not keep data from others. */
TEST_F(shadow, never_ended)
{
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_RW));
	device_fill(_metadata, &self->buf, 1);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(cpu_has(&self->buf, 1, 1));
}

TEST_F(shadow, two_ends)
{
	device_fill(_metadata, &self->buf, 1);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_RW));
	memset(self->buf.mem, 2, HALF);
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(device_has(&self->buf, 2, 1));
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_RW));
	EXPECT_TRUE(device_has(&self->buf, 2, 1));

	device_fill(_metadata, &self->buf, 3);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(cpu_has(&self->buf, 3, 3));
}

/* A reader keeps its data until somebody begins, then gets new data. */
TEST_F(shadow, two_readers)
{
	device_fill(_metadata, &self->buf, 1);
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	device_fill(_metadata, &self->buf, 2);
	EXPECT_TRUE(cpu_has(&self->buf, 1, 1));
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(cpu_has(&self->buf, 2, 2));
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(cpu_has(&self->buf, 2, 2));
	ASSERT_EQ(0, sync_begin(self->buf.dmabuf, DMA_BUF_SYNC_WRITE));
	EXPECT_TRUE(cpu_has(&self->buf, 2, 2));
	memset(self->buf.mem, 3, HALF);
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_WRITE));
	EXPECT_TRUE(cpu_has(&self->buf, 3, 2));
	EXPECT_TRUE(device_has(&self->buf, 3, 2));
	ASSERT_EQ(0, sync_end(self->buf.dmabuf, DMA_BUF_SYNC_READ));
	EXPECT_TRUE(device_has(&self->buf, 3, 2));
}

/* A file that is open in debugfs does not keep the buffer alive. */
TEST_F(shadow, gone)
{
	char byte = 0;
	size_t page = sysconf(_SC_PAGESIZE);
	int dmabuf, fd;

	dmabuf = shadow_heap_alloc(SIZE);
	ASSERT_GE(dmabuf, 0);
	fd = shadow_open(dmabuf, "device", O_RDWR);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(1, pwrite(fd, &byte, 1, SIZE - 1));
	EXPECT_EQ(-1, pwrite(fd, &byte, 1, -1));
	EXPECT_EQ(0, pread(fd, &byte, 1, (SIZE + page - 1) & ~(page - 1)));
	close(dmabuf);
	EXPECT_EQ(-1, pread(fd, &byte, 1, 0));
	EXPECT_EQ(-1, pwrite(fd, &byte, 1, 0));
	close(fd);
}

/* What cannot be contiguous is refused, without a message in the log. */
TEST_F(shadow, too_large)
{
	EXPECT_EQ(-ENOMEM, shadow_heap_alloc(1UL << 30));
	EXPECT_EQ(-ENOMEM, shadow_heap_alloc(SIZE_MAX / 2));
}

TEST_HARNESS_MAIN
