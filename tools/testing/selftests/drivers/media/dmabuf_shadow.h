/* SPDX-License-Identifier: GPL-2.0 */
/* Buffers of the shadow heap, and what debugfs tells of them. */

#ifndef DMABUF_SHADOW_H
#define DMABUF_SHADOW_H

#include <stdlib.h>

#include "dmabuf_exporters.h"

#define SHADOW_DIR	"/sys/kernel/debug/dma_buf_shadow"

/* what the CPU finds where it has not begun to read */
#define SHADOW_POISON	0xdb

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

static inline long shadow_number(int fd)
{
	char text[24] = "";
	ssize_t length;

	if (fd < 0)
		return fd;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);

	return length > 0 ? strtol(text, NULL, 10) : -EIO;
}

/* Returns one of the counters of @dmabuf, or -errno. */
static inline long shadow_count(int dmabuf, const char *name)
{
	return shadow_number(shadow_open(dmabuf, name, O_RDONLY));
}

/* The same for all buffers that there were: "leaks" or "underflows" */
static inline long shadow_total(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), SHADOW_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);

	return shadow_number(fd < 0 ? -errno : fd);
}

/* Has everything that began ended, and nothing else? */
static inline bool shadow_is_balanced(int dmabuf)
{
	return shadow_count(dmabuf, "underflows") == 0 &&
	       shadow_count(dmabuf, "readers") == 0 &&
	       shadow_count(dmabuf, "writers") == 0 &&
	       shadow_count(dmabuf, "begins") == shadow_count(dmabuf, "ends");
}

/* How often it began and ended, and who has not ended: "2 1 0 1" */
static inline const char *shadow_counts(int dmabuf)
{
	static char text[64];

	snprintf(text, sizeof(text), "%ld %ld %ld %ld",
		 shadow_count(dmabuf, "begins"), shadow_count(dmabuf, "ends"),
		 shadow_count(dmabuf, "readers"),
		 shadow_count(dmabuf, "writers"));

	return text;
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

#endif /* DMABUF_SHADOW_H */
