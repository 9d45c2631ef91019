// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes that /dev/udmabuf must refuse: larger than the memfd or the memory, and
 * sums that overflow. Needs root, to change the limits of the module.
 */

#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../kselftest_harness.h"

#define PARAMETERS	"/sys/module/udmabuf/parameters/"

/* fits into memory */
#define ITEM_SIZE	(512U << 20)

/* the size of LONG_LIST items overflows 32 bits by a few bytes */
#define LONG_LIST	(UINT32_MAX / sizeof(struct udmabuf_create_item) + 1)

/* Returns what was there before, or -errno. */
static long set_parameter(const char *path, long value)
{
	long before = -EIO;
	FILE *file;

	file = fopen(path, "r+");
	if (!file)
		return -errno;
	if (fscanf(file, "%ld", &before) == 1) {
		rewind(file);
		fprintf(file, "%ld", value);
	}
	if (fclose(file))
		return -errno;

	return before;
}

FIXTURE(sizes)
{
	int udmabuf;
	int memfd;
	uint64_t page;
	long size_limit;
	long list_limit;
};

FIXTURE_SETUP(sizes)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->udmabuf = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (self->udmabuf < 0)
		SKIP(return, "no /dev/udmabuf");
	self->memfd = memfd_create("udmabuf_sizes",
				   MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	self->size_limit = set_parameter(PARAMETERS "size_limit_mb", INT_MAX);
	self->list_limit = set_parameter(PARAMETERS "list_limit", INT_MAX);
	EXPECT_GT(self->size_limit, 0);
	EXPECT_GT(self->list_limit, 0);
}

FIXTURE_TEARDOWN(sizes)
{
	if (self->udmabuf < 0)
		return;
	set_parameter(PARAMETERS "size_limit_mb", self->size_limit);
	set_parameter(PARAMETERS "list_limit", self->list_limit);
	close(self->memfd);
	close(self->udmabuf);
}

static int create(int udmabuf, int memfd, uint64_t offset, uint64_t size)
{
	struct udmabuf_create item = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};
	int fd;

	fd = ioctl(udmabuf, UDMABUF_CREATE, &item);

	return fd < 0 ? -errno : fd;
}

/* A list of @count items of @pages, and a last one of a single page */
static int create_list(int udmabuf, int memfd, uint32_t count, uint64_t pages)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	struct udmabuf_create_list *list;
	uint32_t i;
	int fd;

	list = calloc(1, sizeof(*list) + (count + 1) * sizeof(list->list[0]));
	if (!list)
		return -ENOMEM;
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = count + 1;
	for (i = 0; i <= count; i++) {
		list->list[i].memfd = memfd;
		list->list[i].size = (i < count ? pages : 1) * page;
	}
	fd = ioctl(udmabuf, UDMABUF_CREATE_LIST, list);
	if (fd < 0)
		fd = -errno;
	free(list);

	return fd;
}

/* Items beyond the end of the memfd are refused. */
TEST_F(sizes, beyond_memfd)
{
	int fd;

	ASSERT_EQ(0, ftruncate(self->memfd, 2 * self->page));
	EXPECT_EQ(-EINVAL,
		  create(self->udmabuf, self->memfd, 0, 3 * self->page));
	EXPECT_EQ(-EINVAL,
		  create(self->udmabuf, self->memfd, 2 * self->page,
			 self->page));
	EXPECT_EQ(-EINVAL,
		  create(self->udmabuf, self->memfd, -self->page,
			 2 * self->page));
	EXPECT_EQ(-EINVAL, create(self->udmabuf, self->memfd, 0, 1ull << 41));
	EXPECT_EQ(-EINVAL,
		  create(self->udmabuf, self->memfd, 1ull << 62, 1ull << 63));

	fd = create(self->udmabuf, self->memfd, self->page, self->page);
	EXPECT_GE(fd, 0);
	close(fd);
}

/* Items larger than memory are refused. */
TEST_F(sizes, beyond_memory)
{
	ASSERT_EQ(0, ftruncate(self->memfd, 1ull << 41));
	EXPECT_EQ(-ENOMEM, create(self->udmabuf, self->memfd, 0, 1ull << 41));
}

TEST_F(sizes, pages_wrap)
{
	uint32_t pages = ITEM_SIZE / self->page;

	ASSERT_EQ(0, ftruncate(self->memfd, ITEM_SIZE));
	/* the sum overflows 32 bits; with 64 bits there is no memory for it */
	EXPECT_EQ(sizeof(long) == 4 ? -EINVAL : -ENOMEM,
		  create_list(self->udmabuf, self->memfd,
			      (1ull << 32) / pages, pages));
}

TEST_F(sizes, list_wraps)
{
	struct udmabuf_create_list list = { .count = LONG_LIST };

	EXPECT_EQ(-1, ioctl(self->udmabuf, UDMABUF_CREATE_LIST, &list));
	EXPECT_EQ(sizeof(long) == 4 ? EOVERFLOW : ENOMEM, errno);
}

TEST_HARNESS_MAIN
