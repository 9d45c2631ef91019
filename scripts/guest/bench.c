// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to capture into buffers of somebody else.
 *
 *	bench [-d NODE] [-s WIDTHxHEIGHT] [-e EXPORTER] [-o OPERATION]
 *
 * Prints lines of
 *
 *	operation,exporter,width,height,buffers,attachments,value
 *
 * and then how many they were. The value is the least of the calls in
 * nanoseconds, or for frames the median; where the clock counts instructions
 * (scripts/vm) it is these. For "held" it is bytes. Without -d the node is the
 * first vivid's, and without -s the sizes are four of a webcam. With -d it is any
 * node that captures or outputs, and the size what it is set to.
 *
 * qbuf_known	VIDIOC_QBUF of the buffer's dma-buf, or of memory of the driver
 * qbuf_other	the same with another dma-buf than last time, one of two
 * qbuf_first	the same with a dma-buf that nobody has ever imported
 * qbuf_fenced	the same as qbuf_known, with a fence that has not signalled
 * release	VIDIOC_REQBUFS of 0, with one buffer
 * close	of the dma-buf afterwards: its memory is freed, and what was kept
 * dqbuf	VIDIOC_DQBUF of a frame that is there
 * cycle	QBUF, the frame, DQBUF: what this process and vivid's thread run;
 *		drivers without such a thread have none
 * copy		to the dma-buf, from a buffer of the driver
 * cycle_copy	the cycle with that copy in it
 * held		memory that the kernel holds for an imported buffer
 * kept		memory that the kernel keeps for it after REQBUFS of 0, as long as
 *		the dma-buf is open
 */

#include "dmabuf_exporters.h"
#include "sw_sync.h"
#include "vivid.h"

#include <stdlib.h>
#include <time.h>

#define MAX_BUFFERS	64
#define STREAMED	4
#define REPEAT		11
#define FRAMES		9
#define HELD		4
#define SIZES		4

#define CHECK(call)							\
	({								\
		int ret_ = (call);					\
									\
		if (ret_ < 0) {						\
			fprintf(stderr, "error: %s: %s\n", #call,	\
				strerror(errno));			\
			exit(1);					\
		}							\
		ret_;							\
	})

#define LIST_LIMIT	"/sys/module/udmabuf/parameters/list_limit"

struct frame {
	uint64_t pfn;
	size_t page;
};

static int compare_frames(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

/* The pages of @memfd in the order in which they lie in memory. */
static void find_frames(int memfd, size_t pages, struct frame *frames)
{
	size_t page = sysconf(_SC_PAGESIZE), i;
	uint64_t entry;
	char *mem;
	int fd;

	mem = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, memfd, 0);
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < pages; i++) {
		frames[i].page = i;
		frames[i].pfn = 0;
		if (mem != MAP_FAILED && fd >= 0 &&
		    pread(fd, &entry, sizeof(entry), ((uintptr_t)mem / page + i)
			  * sizeof(entry)) == sizeof(entry))
			frames[i].pfn = entry & ((1ULL << 55) - 1);
	}
	if (fd >= 0)
		close(fd);
	if (mem != MAP_FAILED)
		munmap(mem, pages * page);
	qsort(frames, pages, sizeof(*frames), compare_frames);
}

/*
 * The pages of a memfd, every second as they lie in memory, and then the others:
 * none follows another. Otherwise chance has a say in how many do, and runs are
 * cheaper to map than single pages.
 */
static int udmabuf_scattered_alloc(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE), pages, i;
	struct udmabuf_create create = { };
	struct udmabuf_create_list *list;
	int dev, memfd, pinned, ret;
	struct frame *frames;

	if (!write_file(LIST_LIMIT, "65536"))
		return -ENODEV;
	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return -ENODEV;

	pages = (size + page - 1) / page;
	list = calloc(1, sizeof(*list) + pages * sizeof(*list->list));
	frames = calloc(pages, sizeof(*frames));
	if (!list || !frames) {
		free(frames);
		free(list);
		close(dev);
		return -ENOMEM;
	}

	memfd = CHECK(memfd_create("bench", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	CHECK(ftruncate(memfd, pages * page));
	CHECK(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	/* this moves pages out of the region for CMA */
	create.memfd = memfd;
	create.flags = UDMABUF_FLAGS_CLOEXEC;
	create.size = pages * page;
	pinned = CHECK(ioctl(dev, UDMABUF_CREATE, &create));
	find_frames(memfd, pages, frames);

	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = pages;
	for (i = 0; i < pages; i++) {
		list->list[i].memfd = memfd;
		list->list[i].size = page;
		list->list[i].offset = page * frames[2 * i < pages ? 2 * i :
						     (2 * i - pages) | 1].page;
	}
	ret = CHECK(ioctl(dev, UDMABUF_CREATE_LIST, list));
	free(frames);
	free(list);
	close(pinned);
	close(memfd);
	close(dev);

	return ret;
}

/* As many huge pages as it takes to hold all buffers of bench_memory(). */
static int udmabuf_huge_alloc(size_t size)
{
	if (!write_file(HUGEPAGE_EXTRA, "256"))
		return -ENODEV;

	return udmabuf_from(MFD_HUGETLB | MFD_HUGE_2MB, HUGEPAGE, size);
}

static const struct exporter {
	const char *name;
	int (*alloc)(size_t size);
} exporters[] = {
	{ "mmap" },
	{ "system_heap", system_heap_alloc },
	{ "cma_heap", cma_heap_alloc },
	{ "udmabuf_scattered", udmabuf_scattered_alloc },
	{ "udmabuf_huge", udmabuf_huge_alloc },
	{ }
};

static struct v4l2_format format;
static unsigned int width, height;
static size_t size;
static int node = -1;
static bool multiplanar, output;
static const char *only_exporter, *only_operation;

static int alloc(const struct exporter *e)
{
	int fd = e->alloc(size);

	if (fd < 0) {
		fprintf(stderr, "error: no dma-buf of %zu bytes from %s: %s\n",
			size, e->name, strerror(-fd));
		exit(1);
	}

	return fd;
}

/* Is this one asked for, and on this machine? */
static bool usable(const struct exporter *e)
{
	int fd;

	if (only_exporter && strcmp(only_exporter, e->name))
		return false;
	if (!e->alloc)
		return true;
	fd = e->alloc(sysconf(_SC_PAGESIZE));
	if (fd == -ENODEV)
		fprintf(stderr, "%s: not here\n", e->name);
	else if (fd >= 0)
		close(fd);

	return fd != -ENODEV;
}

static unsigned int results;

static bool wanted(const char *operation)
{
	return !only_operation || !strcmp(operation, only_operation);
}

static void print_result(const char *operation, const struct exporter *e,
			 unsigned int buffers, unsigned int attachments,
			 uint64_t value)
{
	if (!wanted(operation))
		return;
	printf("%s,%s,%u,%u,%u,%u,%lld\n", operation, e->name, width, height,
	       buffers, attachments, (long long)value);
	fflush(stdout);
	results++;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);

	return values[n / 2];
}

/* What interrupts a call, or finds no page table there, only adds to it. */
static uint64_t least(uint64_t *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);

	return values[0];
}

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	CHECK(clock_gettime(id, &ts));

	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* What happens between these two is what scripts/profile.c looks at. */
static bool marked;

static void measure(const char *operation)
{
	marked = only_operation && wanted(operation);
}

static uint64_t begin_on(clockid_t clock)
{
#ifdef __x86_64__
	if (marked)
		asm volatile ("nopl 0x6f627564(%rax)");
#endif
	return read_clock(clock);
}

static uint64_t end_on(clockid_t clock)
{
	uint64_t now = read_clock(clock);

#ifdef __x86_64__
	if (marked)
		asm volatile ("nopl 0x6f627565(%rax)");
#endif
	return now;
}

static uint64_t clock_begin(void)
{
	return begin_on(CLOCK_MONOTONIC_RAW);
}

static uint64_t clock_end(void)
{
	return end_on(CLOCK_MONOTONIC_RAW);
}

/* What measuring alone takes, the median of many. */
static uint64_t overhead;

static void calibrate(void)
{
	uint64_t values[101];
	unsigned int i;

	for (i = 0; i < 101; i++) {
		values[i] = clock_begin();
		values[i] = clock_end() - values[i];
	}
	overhead = median(values, 101);
}

static uint64_t net(uint64_t spent)
{
	return spent > overhead ? spent - overhead : 0;
}

static uint64_t timed_ioctl(int fd, unsigned long request, void *arg)
{
	uint64_t since, spent;
	int ret;

	since = clock_begin();
	ret = ioctl(fd, request, arg);
	spent = clock_end() - since;
	if (ret) {
		fprintf(stderr, "error: ioctl %#lx: %s\n", request,
			strerror(errno));
		exit(1);
	}

	return spent > overhead ? spent - overhead : 0;
}

/* A buffer without memory of the driver belongs to @dmabuf. */
static struct v4l2_buffer *buffer(unsigned int index, int dmabuf)
{
	static struct v4l2_plane plane;
	static struct v4l2_buffer buf;

	memset(&plane, 0, sizeof(plane));
	memset(&buf, 0, sizeof(buf));
	buf.index = index;
	buf.type = format.type;
	buf.memory = dmabuf < 0 ? V4L2_MEMORY_MMAP : V4L2_MEMORY_DMABUF;
	buf.field = V4L2_FIELD_NONE;
	if (multiplanar) {
		buf.m.planes = &plane;
		buf.length = 1;
		plane.bytesused = output ? size : 0;
		if (dmabuf >= 0)
			plane.m.fd = dmabuf;
	} else {
		buf.bytesused = output ? size : 0;
		if (dmabuf >= 0)
			buf.m.fd = dmabuf;
	}

	return &buf;
}

static uint64_t qbuf(unsigned int index, int dmabuf)
{
	return timed_ioctl(node, VIDIOC_QBUF, buffer(index, dmabuf));
}

/* Exactly @count buffers: VIDIOC_REQBUFS makes some more for streaming. */
static void create(unsigned int count, enum v4l2_memory memory)
{
	struct v4l2_create_buffers req = {
		.count = count, .memory = memory, .format = format,
	};

	CHECK(ioctl(node, VIDIOC_CREATE_BUFS, &req));
	if (req.count != count) {
		fprintf(stderr, "error: %u buffers instead of %u\n", req.count,
			count);
		exit(1);
	}
}

static uint64_t release(enum v4l2_memory memory)
{
	struct v4l2_requestbuffers req = {
		.type = format.type, .memory = memory,
	};

	return timed_ioctl(node, VIDIOC_REQBUFS, &req);
}

/* Takes back what is queued, streaming or not. */
static void dequeue_all(void)
{
	CHECK(ioctl(node, VIDIOC_STREAMOFF, &format.type));
}

/* The first import of a dma-buf, and the end of it. */
static void bench_first(const struct exporter *e)
{
	uint64_t first[REPEAT], released[REPEAT], closed[REPEAT], since;
	enum v4l2_memory memory;
	int dmabuf = -1;
	unsigned int i;

	memory = e->alloc ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP;
	for (i = 0; i < REPEAT; i++) {
		if (e->alloc)
			dmabuf = alloc(e);
		create(1, memory);
		measure("qbuf_first");
		first[i] = qbuf(0, dmabuf);
		measure("");
		dequeue_all();
		measure("release");
		released[i] = release(memory);
		if (!e->alloc)
			continue;
		measure("close");
		since = clock_begin();
		close(dmabuf);
		closed[i] = net(clock_end() - since);
		measure("");
	}

	print_result("qbuf_first", e, 1, 0, least(first, REPEAT));
	print_result("release", e, 1, 0, least(released, REPEAT));
	if (e->alloc)
		print_result("close", e, 1, 0, least(closed, REPEAT));
}

/* A driver that imports and attaches, though it never uses the memory. */
static int attach(int dmabuf)
{
	struct drm_prime_handle prime = { .fd = dmabuf };
	int drm = drm_open("vgem");

	if (drm < 0) {
		fprintf(stderr, "error: no vgem: modprobe vgem\n");
		exit(1);
	}
	CHECK(ioctl(drm, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime));

	return drm;
}

/* A device is about to read the dma-buf, until what this returns is closed. */
static int attach_fence(int dmabuf)
{
	struct sw_sync_create_fence_data fence = { .value = 1 };
	struct dma_buf_import_sync_file import = { .flags = DMA_BUF_SYNC_READ };
	int timeline = CHECK(open(SW_SYNC, O_RDWR | O_CLOEXEC));

	CHECK(ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &fence));
	import.fd = fence.fence;
	CHECK(ioctl(dmabuf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import));
	close(fence.fence);

	return timeline;
}

/* The last of @count buffers, whose dma-bufs have @attachments others. */
static void bench_qbuf(const struct exporter *e, unsigned int count,
		       unsigned int attachments)
{
	int dmabuf[MAX_BUFFERS + 1], other[2][MAX_BUFFERS];
	uint64_t known[REPEAT], another[REPEAT];
	unsigned int i, last = count - 1;
	enum v4l2_memory memory;
	int timeline;

	memory = e->alloc ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP;
	for (i = 0; i <= count; i++)
		dmabuf[i] = e->alloc ? alloc(e) : -1;
	for (i = 0; i < attachments; i++) {
		other[0][i] = attach(dmabuf[last]);
		other[1][i] = attach(dmabuf[count]);
	}

	create(count, memory);
	for (i = 0; i < count; i++)
		qbuf(i, dmabuf[i]);
	dequeue_all();

	measure("qbuf_known");
	for (i = 0; i < REPEAT; i++) {
		known[i] = qbuf(last, dmabuf[last]);
		dequeue_all();
	}
	print_result("qbuf_known", e, count, attachments, least(known, REPEAT));

	if (e->alloc) {
		measure("qbuf_other");
		for (i = 0; i < REPEAT; i++) {
			another[i] = qbuf(last, dmabuf[i % 2 ? last : count]);
			dequeue_all();
		}
		print_result("qbuf_other", e, count, attachments,
		      least(another, REPEAT));
	}

	measure("");
	if (e->alloc && count == 1 && !attachments) {
		timeline = attach_fence(dmabuf[last]);
		qbuf(last, dmabuf[last]);
		dequeue_all();
		measure("qbuf_fenced");
		for (i = 0; i < REPEAT; i++) {
			known[i] = qbuf(last, dmabuf[last]);
			dequeue_all();
		}
		measure("");
		print_result("qbuf_fenced", e, count, attachments,
			     least(known, REPEAT));
		close(timeline);
	}

	release(memory);
	for (i = 0; i < attachments; i++) {
		close(other[0][i]);
		close(other[1][i]);
	}
	for (i = 0; i <= count && e->alloc; i++)
		close(dmabuf[i]);
}

/* The CPU time of the kernel thread that fills the frames, if there is one. */
static clockid_t driver_clock(void)
{
	struct v4l2_capability cap = { };
	char path[300], comm[32], *name;
	struct dirent *entry;
	clockid_t id;
	FILE *file;
	DIR *proc;

	CHECK(ioctl(node, VIDIOC_QUERYCAP, &cap));
	name = strchr((char *)cap.bus_info, ':');
	proc = opendir("/proc");
	if (!name || !proc)
		return -1;

	while ((entry = readdir(proc))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (!fgets(comm, sizeof(comm), file))
			comm[0] = '\0';
		fclose(file);
		/* vivid-000-vid-cap, of which 15 characters are kept */
		if (!strncmp(comm, name + 1, strlen(name + 1)) &&
		    strstr(comm, output ? "-vid-o" : "-vid-c") &&
		    !clock_getcpuclockid(atoi(entry->d_name), &id)) {
			closedir(proc);
			return id;
		}
	}
	closedir(proc);

	return -1;
}

static uint64_t cpu_time(clockid_t driver)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID) +
	       (driver == -1 ? 0 : read_clock(driver));
}

static void *map(int fd, size_t length, off_t offset)
{
	void *mem = mmap(NULL, length, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, fd, offset);

	if (mem == MAP_FAILED) {
		perror("error: mmap");
		exit(1);
	}

	return mem;
}

static void *map_buffer(unsigned int index)
{
	struct v4l2_buffer *buf = buffer(index, -1);

	CHECK(ioctl(node, VIDIOC_QUERYBUF, buf));

	return map(node, size, multiplanar ? buf->m.planes->m.mem_offset :
					     buf->m.offset);
}

static void sync_dmabuf(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_WRITE };

	CHECK(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync));
}

/* Streams into dma-bufs, or with @copy into the driver's own and copies. */
static void bench_frames(const struct exporter *e, bool copy)
{
	uint64_t dqbufs[FRAMES], cycles[FRAMES], copies[FRAMES];
	void *from[STREAMED], *to[STREAMED];
	bool import = e->alloc && !copy;
	struct v4l2_buffer *buf;
	enum v4l2_memory memory;
	int dmabuf[STREAMED];
	unsigned int i, frame;
	clockid_t driver;
	uint64_t last, now;

	memory = import ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP;
	create(STREAMED, memory);
	for (i = 0; i < STREAMED; i++) {
		dmabuf[i] = e->alloc ? alloc(e) : -1;
		if (copy) {
			from[i] = map_buffer(i);
			to[i] = map(dmabuf[i], size, 0);
			/* the first access of a page is not the usual one */
			memset(to[i], 0, size);
		}
		qbuf(i, import ? dmabuf[i] : -1);
	}
	CHECK(ioctl(node, VIDIOC_STREAMON, &format.type));
	driver = driver_clock();
	if (driver == -1)
		fprintf(stderr, "no thread of the driver: no cycles\n");
	last = cpu_time(driver);

	for (frame = 0; frame < FRAMES; frame++) {
		struct pollfd pollfd = { .fd = node, .events = POLLIN | POLLOUT };

		if (poll(&pollfd, 1, 5000) != 1) {
			fprintf(stderr, "error: no frame within 5 seconds\n");
			exit(1);
		}
		buf = buffer(0, import ? 0 : -1);
		measure("dqbuf");
		dqbufs[frame] = timed_ioctl(node, VIDIOC_DQBUF, buf);
		i = buf->index;
		measure("copy");
		if (copy) {
			/* not the time of vivid's thread, which may interrupt */
			now = begin_on(CLOCK_PROCESS_CPUTIME_ID);
			sync_dmabuf(dmabuf[i], DMA_BUF_SYNC_START);
			memcpy(to[i], from[i], size);
			sync_dmabuf(dmabuf[i], DMA_BUF_SYNC_END);
			copies[frame] = end_on(CLOCK_PROCESS_CPUTIME_ID) - now;
		}
		measure("");
		qbuf(i, import ? dmabuf[i] : -1);
		now = cpu_time(driver);
		cycles[frame] = now - last;
		last = now;
	}

	dequeue_all();
	for (i = 0; i < STREAMED; i++) {
		if (copy) {
			munmap(from[i], size);
			munmap(to[i], size);
		}
		if (e->alloc)
			close(dmabuf[i]);
	}
	release(memory);

	if (copy) {
		print_result("copy", e, STREAMED, 0, median(copies, FRAMES));
		if (driver != -1)
			print_result("cycle_copy", e, STREAMED, 0,
			      median(cycles, FRAMES));
	} else {
		print_result("dqbuf", e, STREAMED, 0, median(dqbufs, FRAMES));
		if (driver != -1)
			print_result("cycle", e, STREAMED, 0, median(cycles, FRAMES));
	}
}

/* All pages that nobody has, also those that a CPU keeps at hand. */
static long free_pages(void)
{
	long sum = 0, n;
	char line[256];
	FILE *file;

	/* what the kernel frees later is free then */
	sleep(1);
	/* what each CPU has counted by itself is added up, where that exists */
	file = fopen("/proc/sys/vm/stat_refresh", "w");
	if (file) {
		fputs("1", file);
		fclose(file);
	}

	file = fopen("/proc/zoneinfo", "r");
	if (!file) {
		perror("error: /proc/zoneinfo");
		exit(1);
	}
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %ld", &n) == 1 ||
		    sscanf(line, " count: %ld", &n) == 1)
			sum += n;
	fclose(file);

	return sum;
}

/* What the kernel needs for four dma-bufs of each size, which stay open. */
static unsigned int bench_pages(const char *operation, unsigned int sizes,
				const unsigned int (*list)[2], int *dmabuf)
{
	bool held = !strcmp(operation, "held");
	size_t pixel = size / (list[0][0] * list[0][1]);
	unsigned int i, s, count = 0;
	const struct exporter *e;
	long before, taken;

	for (e = exporters + 1; e->name; e++) {
		if (!usable(e))
			continue;
		for (s = 0; s < sizes; s++) {
			width = list[s][0];
			height = list[s][1];
			size = pixel * width * height;
			for (i = 0; i < HELD; i++)
				dmabuf[count + i] = alloc(e);
			before = free_pages();
			for (i = 0; i < HELD; i++, count++) {
				if (!held)
					create(1, V4L2_MEMORY_DMABUF);
				qbuf(held ? count : 0, dmabuf[count]);
				if (held)
					continue;
				dequeue_all();
				release(V4L2_MEMORY_DMABUF);
			}
			/* somebody else may have freed some meanwhile */
			taken = before - free_pages();
			print_result(operation, e, HELD, 0, taken < 0 ? 0 :
			      taken * sysconf(_SC_PAGESIZE) / HELD);
		}
	}
	size = pixel * list[0][0] * list[0][1];

	return count;
}

/*
 * No dma-buf is closed before the end, and those of "held" are all in one queue:
 * page tables of a mapping that is gone would serve the next one. For the same
 * reason "kept" comes second: where REQBUFS of 0 takes a mapping down, there are
 * enough of these now.
 */
static void bench_memory(unsigned int sizes, const unsigned int (*list)[2])
{
	int dmabuf[2 * MAX_BUFFERS];
	unsigned int count;

	/* "held" has all of its dma-bufs in one queue */
	_Static_assert(HELD * SIZES * (sizeof(exporters) / sizeof(*exporters) -
		       2) <= MAX_BUFFERS, "too few buffers in a queue");

	create(MAX_BUFFERS, V4L2_MEMORY_DMABUF);
	count = bench_pages("held", sizes, list, dmabuf);
	dequeue_all();
	release(V4L2_MEMORY_DMABUF);
	count += bench_pages("kept", sizes, list, dmabuf + count);
	while (count)
		close(dmabuf[--count]);
}

/* Sets the size, and four bytes per pixel where the node can do that. */
static void set_format(void)
{
	struct v4l2_capability cap = { };
	unsigned int planes;

	CHECK(ioctl(node, VIDIOC_QUERYCAP, &cap));
	if (cap.capabilities & V4L2_CAP_DEVICE_CAPS)
		cap.capabilities = cap.device_caps;
	multiplanar = cap.capabilities & (V4L2_CAP_VIDEO_CAPTURE_MPLANE |
					  V4L2_CAP_VIDEO_OUTPUT_MPLANE);
	output = cap.capabilities & (V4L2_CAP_VIDEO_OUTPUT |
				     V4L2_CAP_VIDEO_OUTPUT_MPLANE);
	format.type = output ? multiplanar ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE :
					     V4L2_BUF_TYPE_VIDEO_OUTPUT :
			       multiplanar ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE :
					     V4L2_BUF_TYPE_VIDEO_CAPTURE;
	CHECK(ioctl(node, VIDIOC_G_FMT, &format));
	if (multiplanar) {
		if (width) {
			memset(format.fmt.pix_mp.plane_fmt, 0,
			       sizeof(format.fmt.pix_mp.plane_fmt));
			format.fmt.pix_mp.width = width;
			format.fmt.pix_mp.height = height;
			format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_XBGR32;
			format.fmt.pix_mp.num_planes = 1;
			CHECK(ioctl(node, VIDIOC_S_FMT, &format));
		}
		width = format.fmt.pix_mp.width;
		height = format.fmt.pix_mp.height;
		size = format.fmt.pix_mp.plane_fmt[0].sizeimage;
		planes = format.fmt.pix_mp.num_planes;
	} else {
		if (width) {
			format.fmt.pix.width = width;
			format.fmt.pix.height = height;
			format.fmt.pix.pixelformat = V4L2_PIX_FMT_XBGR32;
			format.fmt.pix.bytesperline = 0;
			CHECK(ioctl(node, VIDIOC_S_FMT, &format));
		}
		width = format.fmt.pix.width;
		height = format.fmt.pix.height;
		size = format.fmt.pix.sizeimage;
		planes = 1;
	}
	if (planes != 1) {
		fprintf(stderr, "error: the format has %u planes: set another with v4l2-ctl\n",
			planes);
		exit(1);
	}
}

static void bench_size(void)
{
	const struct exporter *e;

	set_format();
	for (e = exporters; e->name; e++) {
		if (!usable(e))
			continue;
		if (wanted("qbuf_first") || wanted("release") || wanted("close"))
			bench_first(e);
		if (wanted("qbuf_known") || wanted("qbuf_other"))
			bench_qbuf(e, 1, 0);
		if (wanted("dqbuf") || wanted("cycle"))
			bench_frames(e, false);
		if (e->alloc && (wanted("copy") || wanted("cycle_copy")))
			bench_frames(e, true);
	}
}

/* With more buffers in the queue, and more that are attached to the dma-buf. */
static void bench_numbers(void)
{
	const struct exporter *e;

	set_format();
	if (!wanted("qbuf_known") && !wanted("qbuf_other"))
		return;
	for (e = exporters; e->name; e++) {
		if (!usable(e))
			continue;
		bench_qbuf(e, 8, 0);
		bench_qbuf(e, 64, 0);
		if (!e->alloc)
			continue;
		bench_qbuf(e, 1, 1);
		bench_qbuf(e, 1, 8);
	}
}

int main(int argc, char **argv)
{
	static const unsigned int sizes[SIZES][2] = {
		{ 640, 360 }, { 1280, 720 }, { 1920, 1080 }, { 3840, 2160 },
	};
	const char *path = NULL;
	unsigned int i;
	int option;

	while ((option = getopt(argc, argv, "d:s:e:o:")) != -1) {
		switch (option) {
		case 'd':
			path = optarg;
			break;
		case 's':
			if (sscanf(optarg, "%ux%u", &width, &height) == 2)
				break;
			/* fall through */
		default:
			goto usage;
		case 'e':
			only_exporter = optarg;
			break;
		case 'o':
			only_operation = optarg;
			break;
		}
	}
	if (optind != argc)
		goto usage;

	node = path ? open(path, O_RDWR | O_CLOEXEC) :
		      vivid_open("vivid-000-vid-cap");
	if (node < 0) {
		fprintf(stderr, "error: %s: %s\n", path ? path : "vivid",
			path ? strerror(errno) :
			       "modprobe vivid, or name a node with -d");
		return 1;
	}

	calibrate();
	if (width || path) {
		bench_size();
		printf("%u results\n", results);
		return 0;
	}

	width = sizes[0][0];
	height = sizes[0][1];
	set_format();
	if (wanted("held") || wanted("kept"))
		bench_memory(SIZES, sizes);
	for (i = 0; i < SIZES; i++) {
		width = sizes[i][0];
		height = sizes[i][1];
		bench_size();
	}
	width = sizes[0][0];
	height = sizes[0][1];
	bench_numbers();
	printf("%u results\n", results);

	return 0;

usage:
	fprintf(stderr, "usage: bench [-d NODE] [-s WIDTHxHEIGHT] [-e EXPORTER] [-o OPERATION]\n");
	return 2;
}
