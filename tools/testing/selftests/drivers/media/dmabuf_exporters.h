/* SPDX-License-Identifier: GPL-2.0 */
/* Allocation of dma-bufs from many exporters, and their debugfs entries. */

#ifndef DMABUF_EXPORTERS_H
#define DMABUF_EXPORTERS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <drm/qxl_drm.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/memfd.h>
#include <linux/udmabuf.h>

static inline bool write_file(const char *path, const char *text)
{
	size_t length = strlen(text);
	bool done;
	int fd;

	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	done = write(fd, text, length) == (ssize_t)length;
	close(fd);

	return done;
}

/* Returns a dma-buf of at least @size bytes from one of @heaps or -errno. */
static inline int heap_alloc(const char *const *heaps, size_t size)
{
	struct dma_heap_allocation_data data = {
		.len = size,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	char path[64];
	int heap, ret;

	for (; *heaps; heaps++) {
		snprintf(path, sizeof(path), "/dev/dma_heap/%s", *heaps);
		heap = open(path, O_RDONLY | O_CLOEXEC);
		if (heap < 0)
			continue;
		ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data);
		ret = ret ? -errno : (int)data.fd;
		close(heap);
		return ret;
	}

	return -ENODEV;
}

static inline int system_heap_alloc(size_t size)
{
	static const char *const heaps[] = { "system", NULL };

	return heap_alloc(heaps, size);
}

static inline int cma_heap_alloc(size_t size)
{
	static const char *const heaps[] = {
		"default_cma_region", "reserved", "linux,cma", NULL
	};

	return heap_alloc(heaps, size);
}

static inline int shadow_heap_alloc(size_t size)
{
	static const char *const heaps[] = { "shadow", NULL };

	return heap_alloc(heaps, size);
}

/* Exports the last @size bytes of a memfd with pages of @page bytes. */
static inline int udmabuf_from(unsigned int memfd_flags, size_t page,
			       size_t size)
{
	size_t small_page = sysconf(_SC_PAGESIZE);
	size_t memfd_size = (size + page - 1) & ~(page - 1);
	struct udmabuf_create create = {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = (size + small_page - 1) & ~(small_page - 1),
	};
	int dev, memfd, ret = -ENODEV;

	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return ret;

	memfd = memfd_create("udmabuf", memfd_flags | MFD_ALLOW_SEALING |
			     MFD_CLOEXEC);
	if (memfd < 0) {
		ret = -errno;
		goto out;
	}

	create.memfd = memfd;
	create.offset = memfd_size - create.size;
	if (ftruncate(memfd, memfd_size) ||
	    fallocate(memfd, 0, 0, memfd_size) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		ret = -errno;
	else
		ret = ioctl(dev, UDMABUF_CREATE, &create);
	if (ret == -1)
		ret = -errno;
	close(memfd);
out:
	close(dev);
	return ret;
}

/* A dma-buf of @size that repeats the same piece of memory */
static inline int udmabuf_repeat(size_t size)
{
	enum { ITEMS = 1024 };
	struct udmabuf_create_list *list;
	int dev, memfd, i, ret = -ENODEV;

	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return ret;
	memfd = memfd_create("udmabuf", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	list = calloc(1, sizeof(*list) + ITEMS * sizeof(list->list[0]));
	ret = -ENOMEM;
	if (memfd < 0 || !list || ftruncate(memfd, size / ITEMS) ||
	    fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		goto out;

	/* the default is 64 in older kernels, INT_MAX in newer ones */
	write_file("/sys/module/udmabuf/parameters/size_limit_mb",
		   "2147483647");
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = ITEMS;
	for (i = 0; i < ITEMS; i++) {
		list->list[i].memfd = memfd;
		list->list[i].size = size / ITEMS;
	}
	ret = ioctl(dev, UDMABUF_CREATE_LIST, list);
	if (ret < 0)
		ret = -errno;
out:
	free(list);
	close(memfd);
	close(dev);
	return ret;
}

static inline int udmabuf_alloc(size_t size)
{
	return udmabuf_from(0, sysconf(_SC_PAGESIZE), size);
}

#define HUGEPAGE	(2UL << 20)
#define HUGEPAGE_EXTRA	"/sys/kernel/mm/hugepages/hugepages-2048kB/" \
			"nr_overcommit_hugepages"

/* Lets the kernel allocate surplus huge pages, which it frees after use. */
static inline int udmabuf_hugetlb_alloc(size_t size)
{
	if (!write_file(HUGEPAGE_EXTRA, "64"))
		return -ENODEV;

	return udmabuf_from(MFD_HUGETLB | MFD_HUGE_2MB, HUGEPAGE, size);
}

/* Returns the primary node of the first DRM device of @driver or -errno. */
static inline int drm_open(const char *driver)
{
	struct drm_version version;
	char path[32], name[32];
	int card, fd;

	for (card = 0; card < 16; card++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", card);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;

		memset(&version, 0, sizeof(version));
		memset(name, 0, sizeof(name));
		version.name = name;
		version.name_len = sizeof(name) - 1;
		if (!ioctl(fd, DRM_IOCTL_VERSION, &version) &&
		    !strcmp(name, driver))
			return fd;
		close(fd);
	}

	return -ENODEV;
}

static inline int drm_export(int drm, uint32_t handle)
{
	struct drm_prime_handle prime = {
		.handle = handle,
		.flags = DRM_RDWR | DRM_CLOEXEC,
	};

	return ioctl(drm, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) ?
	       -errno : prime.fd;
}

/* The dma-buf keeps the object, so the node need not stay open. */
static inline int dumb_alloc(const char *driver, size_t size)
{
	struct drm_mode_create_dumb dumb = { .width = 1024, .bpp = 32 };
	int drm, ret;

	drm = drm_open(driver);
	if (drm < 0)
		return drm;

	dumb.height = (size + 4095) / 4096;
	ret = ioctl(drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) ?
	      -errno : drm_export(drm, dumb.handle);
	close(drm);

	return ret;
}

static inline int vgem_alloc(size_t size)
{
	return dumb_alloc("vgem", size);
}

static inline int virtio_gpu_alloc(size_t size)
{
	return dumb_alloc("virtio_gpu", size);
}

static inline int vkms_alloc(size_t size)
{
	return dumb_alloc("vkms", size);
}

static inline int bochs_alloc(size_t size)
{
	return dumb_alloc("bochs-drm", size);
}

/* Older kernels call the driver "cirrus". */
static inline int cirrus_alloc(size_t size)
{
	int ret;

	ret = dumb_alloc("cirrus-qemu", size);

	return ret == -ENODEV ? dumb_alloc("cirrus", size) : ret;
}

static inline int qxl_dumb_alloc(size_t size)
{
	return dumb_alloc("qxl", size);
}

/* Unlike qxl's dumb buffers, this one lies in VRAM and maps as I/O memory. */
static inline int qxl_vram_alloc(size_t size)
{
	struct drm_qxl_alloc alloc = { .size = size };
	struct drm_qxl_map map = { };
	void *mem;
	int drm, ret;

	drm = drm_open("qxl");
	if (drm < 0)
		return drm;

	ret = -1;
	if (ioctl(drm, DRM_IOCTL_QXL_ALLOC, &alloc))
		goto out;

	/* The first access places the buffer in VRAM. */
	map.handle = alloc.handle;
	if (ioctl(drm, DRM_IOCTL_QXL_MAP, &map))
		goto out;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, drm,
		   map.offset);
	if (mem == MAP_FAILED)
		goto out;
	memset(mem, 0, size);
	munmap(mem, size);

	ret = drm_export(drm, alloc.handle);
out:
	if (ret == -1)
		ret = -errno;
	close(drm);
	return ret;
}

#define DMABUF_INFO "/sys/kernel/debug/dma_buf/bufinfo"

/*
 * Looks a dma-buf up in debugfs. Returns how many attachments it has and sets
 * @cpu_only to how many of them have no device, or returns -errno.
 */
static inline int dmabuf_attachments(int dmabuf, int *cpu_only)
{
	unsigned long long ino;
	bool found = false;
	struct stat st;
	char line[256];
	int n = -ENOENT;
	FILE *bufinfo;

	*cpu_only = 0;
	if (fstat(dmabuf, &st))
		return -errno;

	bufinfo = fopen(DMABUF_INFO, "r");
	if (!bufinfo)
		return -errno;

	while (fgets(line, sizeof(line), bufinfo)) {
		if (sscanf(line, "%*u %*x %*x %*u %*s %llu", &ino) == 1)
			found = ino == st.st_ino;
		else if (found && !strcmp(line, "\t<cpu>\n"))
			++*cpu_only;
		else if (found && sscanf(line, "Total %d devices", &n) == 1)
			break;
	}
	fclose(bufinfo);

	return n;
}

#endif /* DMABUF_EXPORTERS_H */
