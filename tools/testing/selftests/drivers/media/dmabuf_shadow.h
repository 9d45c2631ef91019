/* SPDX-License-Identifier: GPL-2.0 */
/* Access to the debugfs files of buffers of the shadow heap. */

#ifndef DMABUF_SHADOW_H
#define DMABUF_SHADOW_H

#include <stdlib.h>

#include "dmabuf_exporters.h"
#include "vivid.h"

#define SHADOW_DIR	"/sys/kernel/debug/dma_buf_shadow"

static inline int shadow_open(int dmabuf, const char *name, int flags)
{
	char path[128];
	struct stat st;
	int fd;

	if (fstat(dmabuf, &st))
		return -errno;
	snprintf(path, sizeof(path), SHADOW_DIR "/%llu/%s",
		 (unsigned long long)st.st_ino, name);
	fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Returns how often "begins" or "ends" of @dmabuf was called, or -errno. */
static inline long shadow_count(int dmabuf, const char *name)
{
	char text[24] = "";
	ssize_t length;
	int fd;

	fd = shadow_open(dmabuf, name, O_RDONLY);
	if (fd < 0)
		return fd;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);

	return length > 0 ? strtol(text, NULL, 10) : -EIO;
}

/* Reads what devices see. */
static inline int shadow_device_read(int dmabuf, void *mem, size_t size)
{
	ssize_t done;
	int fd;

	fd = shadow_open(dmabuf, "device", O_RDONLY);
	if (fd < 0)
		return fd;
	/* the kernel does all of it at once */
	done = read(fd, mem, size);
	close(fd);

	return done == (ssize_t)size ? 0 : -EIO;
}

/* Writes as a device does. */
static inline int shadow_device_write(int dmabuf, const void *mem, size_t size)
{
	ssize_t done;
	int fd;

	fd = shadow_open(dmabuf, "device", O_WRONLY);
	if (fd < 0)
		return fd;
	/* the kernel does all of it at once */
	done = write(fd, mem, size);
	close(fd);

	return done == (ssize_t)size ? 0 : -EIO;
}

/*
 * Is no driver writing? Only then does the CPU see what a device writes. The
 * contents are restored for the device, and for the CPU when it begins to read.
 */
static inline bool shadow_no_writer(int dmabuf)
{
	uint8_t before, other, *cpu;
	bool seen;

	cpu = mmap(NULL, 1, PROT_READ, MAP_SHARED, dmabuf, 0);
	if (cpu == MAP_FAILED)
		return false;
	other = ~*cpu;
	seen = !shadow_device_read(dmabuf, &before, 1) &&
	       !shadow_device_write(dmabuf, &other, 1) &&
	       !sync_begin(dmabuf, DMA_BUF_SYNC_READ) && *cpu == other &&
	       !sync_end(dmabuf, DMA_BUF_SYNC_READ) &&
	       !shadow_device_write(dmabuf, &before, 1);
	munmap(cpu, 1);

	return seen;
}

static inline bool shadow_no_writers(const int *dmabuf, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (!shadow_no_writer(dmabuf[i]))
			return false;

	return true;
}

#endif /* DMABUF_SHADOW_H */
