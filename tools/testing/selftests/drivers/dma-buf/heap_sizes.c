// SPDX-License-Identifier: GPL-2.0
/* What the heaps for dma-bufs say to lengths that memory has not. */

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../kselftest_harness.h"

FIXTURE(heap)
{
	int fd;
};

FIXTURE_VARIANT(heap)
{
	const char *names[3];
};

FIXTURE_VARIANT_ADD(heap, system) {
	.names = { "/dev/dma_heap/system" },
};

/* The default area has had three names. */
FIXTURE_VARIANT_ADD(heap, cma) {
	.names = {
		"/dev/dma_heap/default_cma_region",
		"/dev/dma_heap/reserved",
		"/dev/dma_heap/linux,cma",
	},
};

FIXTURE_SETUP(heap)
{
	int i;

	self->fd = -1;
	for (i = 0; self->fd < 0 && i < 3 && variant->names[i]; i++)
		self->fd = open(variant->names[i], O_RDONLY | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "no such heap");
}

FIXTURE_TEARDOWN(heap)
{
	close(self->fd);
}

static int alloc(int heap, uint64_t len)
{
	struct dma_heap_allocation_data data = {
		.len = len, .fd_flags = O_RDWR | O_CLOEXEC,
	};

	return ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) ? -errno : (int)data.fd;
}

TEST_F(heap, beyond_memory)
{
	EXPECT_EQ(sizeof(long) == 4 ? -EINVAL : -ENOMEM,
		  alloc(self->fd, 1ull << 50));
}

/* A buffer is as long as was asked for, or there is none. */
TEST_F(heap, length_wraps)
{
	uint64_t len = (1ull << 32) + sysconf(_SC_PAGESIZE);
	int fd = alloc(self->fd, len);

	EXPECT_EQ(-EINVAL, alloc(self->fd, UINT64_MAX));
	if (fd < 0)
		return;
	EXPECT_EQ(len, lseek(fd, 0, SEEK_END));
	close(fd);
}

TEST_HARNESS_MAIN
