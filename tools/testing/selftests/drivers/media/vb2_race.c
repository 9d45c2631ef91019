// SPDX-License-Identifier: GPL-2.0
/*
 * Performs random operations on the buffers of a device, in eight threads at
 * the same time, on one file that is closed and reopened meanwhile. Errors are
 * to be expected, but frames must arrive. The device must work afterwards, no
 * dma-buf may be left, and the kernel must not report anything.
 *
 * Other cases race two operations with each other.
 *
 * Needs root, debugfs and sw_sync. Each case takes $VB2_RACE_SECONDS, or two
 * seconds by default:
 *
 *	modprobe vivid n_devs=4 allocators=0,1,0,2 multiplanar=1,1,2,1
 *	modprobe vim2m
 *	modprobe vicodec
 */

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "sw_sync.h"
#include "vivid.h"

#define THREADS		8
#define BUFFERS		4

/* One chunk of the system heap: with a hole in it dma-contig refuses it. */
#define SIDE		128

/* As large as anything of vicodec: grey frames */
#define WIDTH		640
#define HEIGHT		368
#define SIZE		1048576

/* Queues of a device are told apart by their types. */
#define MAX_QUEUES	2

/* Enough to be closed at the same time as the device, on two CPUs */
#define REQUESTS	64
#define ROUNDS		30

struct race {
	int (*open)(struct race *race);
	const char *node;
	unsigned int allocator;
	uint32_t pixelformat[MAX_QUEUES];

	unsigned int num_queues;
	uint32_t type[MAX_QUEUES];
	uint32_t size;
	int dmabuf[BUFFERS];
	int frames;
	int fd;
	int media;
	int timeline;
	uint32_t value;
	bool pause;
	bool stop;
};

struct racer {
	struct race *race;
	unsigned int seed;
	pthread_t thread;
};

/* The name of the dma-bufs of this process, as others have some, too */
static void own_name(char *name, size_t size)
{
	snprintf(name, size, "race(%d)", getpid());
}

static int name_dmabuf(int dmabuf)
{
	char name[32];

	own_name(name, sizeof(name));

	return v4l2_ioctl(dmabuf, DMA_BUF_SET_NAME, name);
}

/* Returns how many dma-bufs have that name, or -errno. */
static int count_own_dmabufs(void)
{
	char line[256], name[32];
	FILE *bufinfo;
	int count = 0;

	bufinfo = fopen(DMABUF_INFO, "r");
	if (!bufinfo)
		return -errno;

	own_name(name, sizeof(name));
	while (fgets(line, sizeof(line), bufinfo))
		count += !!strstr(line, name);
	fclose(bufinfo);

	return count;
}

static unsigned int draw(struct racer *racer, unsigned int end)
{
	return rand_r(&racer->seed) % end;
}

/* A fence that signals soon, or never: then the first dma-buf gets it. */
static void attach_fence(struct racer *racer)
{
	struct race *race = racer->race;
	bool dead = !draw(racer, 16);
	struct sw_sync_create_fence_data fence = {
		.value = __atomic_load_n(&race->value, __ATOMIC_RELAXED) + 1,
	};
	struct dma_buf_import_sync_file import = {
		.flags = draw(racer, 2) ? DMA_BUF_SYNC_READ :
					  DMA_BUF_SYNC_WRITE,
	};

	if (dead)
		fence.value += 1 << 20;
	if (v4l2_ioctl(race->timeline, SW_SYNC_IOC_CREATE_FENCE, &fence))
		return;
	import.fd = fence.fence;
	v4l2_ioctl(race->dmabuf[dead ? 0 : draw(racer, BUFFERS)],
		   DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import);
	close(fence.fence);
}

static void signal_fence(struct race *race)
{
	uint32_t inc = 1;

	__atomic_add_fetch(&race->value, 1, __ATOMIC_RELAXED);
	v4l2_ioctl(race->timeline, SW_SYNC_IOC_INC, &inc);
}

/* Rarely the first one, as its fence may hold back all behind it. */
static int draw_dmabuf(struct racer *racer)
{
	unsigned int index = 1 + draw(racer, BUFFERS - 1);

	return racer->race->dmabuf[draw(racer, 64) ? index : 0];
}

/* Either type of memory, at random */
static uint32_t draw_memory(struct racer *racer)
{
	return draw(racer, 4) ? V4L2_MEMORY_DMABUF : V4L2_MEMORY_MMAP;
}

static void buffer_ioctl(struct racer *racer, int fd, uint32_t type,
			 unsigned long cmd, int request)
{
	struct v4l2_buffer buf = {
		.index = draw(racer, BUFFERS),
		.type = type,
		.memory = draw_memory(racer),
		.field = V4L2_FIELD_NONE,
		.length = racer->race->size,
	};

	if (buf.memory == V4L2_MEMORY_DMABUF)
		buf.m.fd = draw_dmabuf(racer);
	/* a decoder takes no more than a frame */
	if (V4L2_TYPE_IS_OUTPUT(type))
		buf.bytesused = request > 0 ? WIDTH * HEIGHT :
					      racer->race->size;
	if (request > 0) {
		buf.flags = V4L2_BUF_FLAG_REQUEST_FD;
		buf.request_fd = request;
	}
	if (!v4l2_ioctl(fd, cmd, &buf) && cmd == VIDIOC_DQBUF &&
	    !(buf.flags & V4L2_BUF_FLAG_ERROR) &&
	    buf.memory == V4L2_MEMORY_DMABUF)
		__atomic_add_fetch(&racer->race->frames, 1, __ATOMIC_RELAXED);
}

static void map_buffer(struct racer *racer, int fd, uint32_t type)
{
	struct v4l2_buffer buf = {
		.index = draw(racer, BUFFERS),
		.type = type,
		.memory = V4L2_MEMORY_MMAP,
	};
	uint8_t *mem;

	if (v4l2_ioctl(fd, VIDIOC_QUERYBUF, &buf) || !buf.length)
		return;
	mem = mmap(NULL, buf.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   buf.m.offset);
	if (mem == MAP_FAILED)
		return;
	mem[0]++;
	mem[buf.length - 1]++;
	munmap(mem, buf.length);
}

static void export_buffer(struct racer *racer, int fd, uint32_t type)
{
	struct v4l2_exportbuffer export = {
		.type = type, .index = draw(racer, BUFFERS),
		.flags = O_RDWR | O_CLOEXEC,
	};
	struct v4l2_buffer buf = {
		.index = draw(racer, BUFFERS),
		.type = racer->race->type[draw(racer, racer->race->num_queues)],
		.memory = V4L2_MEMORY_DMABUF,
		.field = V4L2_FIELD_NONE,
		.length = racer->race->size,
		.bytesused = 1,
	};

	if (v4l2_ioctl(fd, VIDIOC_EXPBUF, &export))
		return;
	name_dmabuf(export.fd);
	/* maybe into the same device */
	buf.m.fd = export.fd;
	v4l2_ioctl(fd, VIDIOC_QBUF, &buf);
	close(export.fd);
}

static void request_buffers(struct racer *racer, int fd, uint32_t type)
{
	struct v4l2_requestbuffers req = {
		.count = draw(racer, 3) ? BUFFERS : 0,
		.type = type,
		.memory = draw_memory(racer),
	};

	v4l2_ioctl(fd, VIDIOC_REQBUFS, &req);
}

static void create_buffers(struct racer *racer, int fd, uint32_t type)
{
	struct v4l2_create_buffers create = {
		.count = 1 + draw(racer, 2),
		.memory = draw_memory(racer),
		.format.type = type,
	};

	if (!v4l2_ioctl(fd, VIDIOC_G_FMT, &create.format))
		v4l2_ioctl(fd, VIDIOC_CREATE_BUFS, &create);
}

static void remove_buffers(struct racer *racer, int fd, uint32_t type)
{
	struct v4l2_remove_buffers remove = {
		.index = draw(racer, BUFFERS), .count = 1, .type = type,
	};

	v4l2_ioctl(fd, VIDIOC_REMOVE_BUFS, &remove);
}

/* The parameters of a frame for the stateless decoder; an error for others */
static int set_params(int fd, int request)
{
	struct v4l2_ctrl_fwht_params params = {
		.version = V4L2_FWHT_VERSION,
		.width = WIDTH,
		.height = HEIGHT,
		.flags = V4L2_FWHT_FL_PIXENC_RGB | V4L2_FWHT_FL_I_FRAME |
			 V4L2_FWHT_FL_CHROMA_FULL_WIDTH |
			 V4L2_FWHT_FL_CHROMA_FULL_HEIGHT |
			 V4L2_FWHT_FL_LUMA_IS_UNCOMPRESSED,
	};

	return vivid_set_fwht_params(fd, request, &params);
}

static void use_request(struct racer *racer, int fd)
{
	uint32_t type = racer->race->type[0];
	int request;

	if (v4l2_ioctl(racer->race->media, MEDIA_IOC_REQUEST_ALLOC, &request))
		return;
	set_params(fd, request);
	buffer_ioctl(racer, fd, type, VIDIOC_QBUF, request);
	v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL);
	if (draw(racer, 2))
		v4l2_ioctl(request, MEDIA_REQUEST_IOC_REINIT, NULL);
	close(request);
}

static void poll_buffers(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN | POLLOUT };

	poll(&pollfd, 1, 1);
}

/* Others may still be in an ioctl of the file that this closes. */
static void open_again(struct race *race)
{
	int fd = race->open(race);

	close(__atomic_exchange_n(&race->fd, fd, __ATOMIC_SEQ_CST));
}

static void *run(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	uint32_t type;
	int fd;

	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&race->pause, __ATOMIC_RELAXED))
			usleep(1000);
		fd = __atomic_load_n(&race->fd, __ATOMIC_SEQ_CST);
		type = race->type[draw(racer, race->num_queues)];
		/* rarely return all buffers, or no frame arrives */
		switch (draw(racer, 4000)) {
		case 0:
			open_again(race);
			break;
		case 1: case 2: case 3: case 4:
			request_buffers(racer, fd, type);
			break;
		case 5: case 6: case 7: case 8:
			v4l2_ioctl(fd, VIDIOC_STREAMOFF, &type);
			break;
		case 9 ... 99:
			v4l2_ioctl(fd, VIDIOC_STREAMON, &type);
			break;
		case 100 ... 199:
			attach_fence(racer);
			break;
		case 200 ... 499:
			signal_fence(race);
			break;
		case 500 ... 699:
			create_buffers(racer, fd, type);
			break;
		case 700 ... 899:
			remove_buffers(racer, fd, type);
			break;
		case 900 ... 1099:
			export_buffer(racer, fd, type);
			break;
		case 1100 ... 1299:
			map_buffer(racer, fd, type);
			break;
		case 1300 ... 1499:
			use_request(racer, fd);
			break;
		case 1500 ... 1799:
			buffer_ioctl(racer, fd, type, VIDIOC_PREPARE_BUF, 0);
			break;
		case 1800 ... 2599:
			buffer_ioctl(racer, fd, type, VIDIOC_QBUF, 0);
			break;
		case 2600 ... 3799:
			buffer_ioctl(racer, fd, type, VIDIOC_DQBUF, 0);
			break;
		default:
			poll_buffers(fd);
		}
	}

	return NULL;
}

static int open_vivid(struct race *race)
{
	return vivid_open_allocator(race->allocator, race->node);
}

static int open_m2m(struct race *race)
{
	struct vivid_queue q;
	unsigned int i;

	q.fd = vivid_open(race->node);
	for (i = 0; q.fd >= 0 && i < race->num_queues; i++) {
		q.type = race->type[i];
		vivid_set_pix(&q, race->pixelformat[i], WIDTH, HEIGHT);
	}

	return q.fd;
}

/* Maps a buffer that does not exist, or is about to be freed */
struct mapper {
	int fd;
	off_t offset;
	int mapped;
	bool stop;
};

static void *map(void *arg)
{
	struct mapper *mapper = arg;
	size_t size = sysconf(_SC_PAGESIZE);
	uint8_t *mem;

	while (!__atomic_load_n(&mapper->stop, __ATOMIC_RELAXED)) {
		mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   mapper->fd, mapper->offset);
		if (mem == MAP_FAILED)
			continue;
		mem[0]++;
		munmap(mem, size);
		mapper->mapped++;
	}

	return NULL;
}

/*
 * A buffer whose second plane cannot be allocated exists for a moment, with its
 * first one.
 */
TEST(map_failing)
{
	enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	struct v4l2_create_buffers create = {
		.count = 1,
		.memory = V4L2_MEMORY_MMAP,
		.format = {
			.type = type,
			.fmt.pix_mp = {
				.width = 320,
				.height = 180,
				.pixelformat = V4L2_PIX_FMT_NV16M,
				.num_planes = 2,
			},
		},
	};
	struct v4l2_requestbuffers req = {
		.count = 1, .type = type, .memory = V4L2_MEMORY_MMAP,
	};
	struct v4l2_plane planes[2] = { };
	struct v4l2_buffer buf = {
		.type = type,
		.memory = V4L2_MEMORY_MMAP,
		.length = 2,
		.m.planes = planes,
	};
	struct v4l2_remove_buffers remove = { .count = 1, .type = type };
	const uint32_t size = UINT32_MAX - 65535;
	struct mapper mapper = { };
	pthread_t thread;
	int i;

	if (sysconf(_SC_PHYS_PAGES) >= size / sysconf(_SC_PAGESIZE))
		SKIP(return, "there is memory for the second plane");
	mapper.fd = vivid_open("vivid-002-vid-cap");
	if (mapper.fd == -ENODEV)
		SKIP(return, "no vivid-002-vid-cap");
	ASSERT_GE(mapper.fd, 0);
	ASSERT_EQ(0, vivid_set_input(mapper.fd, "Webcam"));
	if (v4l2_ioctl(mapper.fd, VIDIOC_S_FMT, &create.format))
		SKIP(return, "vivid-002-vid-cap is not multi-planar");
	ASSERT_EQ(0, v4l2_ioctl(mapper.fd, VIDIOC_REQBUFS, &req));

	/* where the buffer would be */
	ASSERT_EQ(0, v4l2_ioctl(mapper.fd, VIDIOC_CREATE_BUFS, &create));
	buf.index = create.index;
	ASSERT_EQ(0, v4l2_ioctl(mapper.fd, VIDIOC_QUERYBUF, &buf));
	mapper.offset = planes[0].m.mem_offset;
	remove.index = create.index;
	ASSERT_EQ(0, v4l2_ioctl(mapper.fd, VIDIOC_REMOVE_BUFS, &remove));

	create.format.fmt.pix_mp.plane_fmt[1].sizeimage = size;
	ASSERT_EQ(0, pthread_create(&thread, NULL, map, &mapper));
	for (i = 0; i < 1000; i++) {
		create.count = 1;
		ASSERT_EQ(-ENOMEM, v4l2_ioctl(mapper.fd, VIDIOC_CREATE_BUFS,
					      &create));
	}
	__atomic_store_n(&mapper.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	TH_LOG("mapped %d times", mapper.mapped);
	close(mapper.fd);
}

/* A thread that closes requests while the device is being closed */
struct closer {
	int request[REQUESTS];
	pthread_barrier_t barrier;
};

static void *close_all(void *arg)
{
	struct closer *closer = arg;
	int i;

	pthread_barrier_wait(&closer->barrier);
	for (i = 0; i < REQUESTS; i++)
		close(closer->request[i]);

	return NULL;
}

/* Each close() takes the parameters out of the requests, or only one does. */
TEST(close_requests)
{
	struct race race = {
		.node = "stateless-decoder",
		.pixelformat = { V4L2_PIX_FMT_FWHT_STATELESS,
				 V4L2_PIX_FMT_GREY },
		.num_queues = 2,
		.type = { V4L2_BUF_TYPE_VIDEO_OUTPUT,
			  V4L2_BUF_TYPE_VIDEO_CAPTURE },
	};
	struct closer closer;
	int fd, media, i, round;
	pthread_t thread;

	ASSERT_EQ(0, pthread_barrier_init(&closer.barrier, NULL, 2));
	for (round = 0; round < ROUNDS; round++) {
		fd = open_m2m(&race);
		if (fd == -ENODEV)
			SKIP(return, "no stateless-decoder");
		ASSERT_GE(fd, 0);
		media = vivid_open_media(fd);
		ASSERT_GE(media, 0);
		for (i = 0; i < REQUESTS; i++) {
			ASSERT_EQ(0, v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC,
						&closer.request[i]));
			ASSERT_EQ(0, set_params(fd, closer.request[i]));
		}

		ASSERT_EQ(0, pthread_create(&thread, NULL, close_all, &closer));
		pthread_barrier_wait(&closer.barrier);
		close(fd);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		close(media);
	}
}

FIXTURE(race)
{
	struct race race;
};

FIXTURE_VARIANT(race)
{
	int (*open)(struct race *race);
	const char *node;
	unsigned int allocator;
	uint32_t pixelformat[MAX_QUEUES];
	unsigned int num_queues;
	uint32_t type[MAX_QUEUES];
};

FIXTURE_VARIANT_ADD(race, vmalloc_capture) {
	.open = open_vivid,
	.allocator = 0,
	.node = "vid-cap",
	.num_queues = 1,
	.type = { V4L2_BUF_TYPE_VIDEO_CAPTURE },
};

FIXTURE_VARIANT_ADD(race, vmalloc_output) {
	.open = open_vivid,
	.allocator = 0,
	.node = "vid-out",
	.num_queues = 1,
	.type = { V4L2_BUF_TYPE_VIDEO_OUTPUT },
};

FIXTURE_VARIANT_ADD(race, dma_contig_capture) {
	.open = open_vivid,
	.allocator = 1,
	.node = "vid-cap",
	.num_queues = 1,
	.type = { V4L2_BUF_TYPE_VIDEO_CAPTURE },
};

FIXTURE_VARIANT_ADD(race, dma_sg_capture) {
	.open = open_vivid,
	.allocator = 2,
	.node = "vid-cap",
	.num_queues = 1,
	.type = { V4L2_BUF_TYPE_VIDEO_CAPTURE },
};

FIXTURE_VARIANT_ADD(race, vim2m) {
	.open = open_m2m,
	.node = "vim2m",
	.pixelformat = { V4L2_PIX_FMT_RGB565, V4L2_PIX_FMT_RGB565 },
	.num_queues = 2,
	.type = { V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE },
};

FIXTURE_VARIANT_ADD(race, encoder) {
	.open = open_m2m,
	.node = "stateful-encoder",
	.pixelformat = { V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_FWHT },
	.num_queues = 2,
	.type = { V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE },
};

FIXTURE_VARIANT_ADD(race, stateless_decoder) {
	.open = open_m2m,
	.node = "stateless-decoder",
	.pixelformat = { V4L2_PIX_FMT_FWHT_STATELESS, V4L2_PIX_FMT_GREY },
	.num_queues = 2,
	.type = { V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_BUF_TYPE_VIDEO_CAPTURE },
};

/* The settings of vivid persist when it is opened again. */
static int set_small(struct race *race)
{
	int ret;

	if (race->type[0] == V4L2_BUF_TYPE_VIDEO_CAPTURE)
		ret = vivid_set_input(race->fd, "HDMI");
	else
		ret = vivid_set_output(race->fd, "HDMI");
	if (!ret)
		ret = vivid_set_timings(race->fd);

	return ret ? ret : vivid_set_format(race->fd, race->type[0], SIDE,
					    SIDE);
}

FIXTURE_SETUP(race)
{
	struct race *race = &self->race;
	int i;

	memset(self, 0, sizeof(*self));
	race->open = variant->open;
	race->node = variant->node;
	race->allocator = variant->allocator;
	race->num_queues = variant->num_queues;
	memcpy(race->type, variant->type, sizeof(race->type));
	memcpy(race->pixelformat, variant->pixelformat,
	       sizeof(race->pixelformat));
	if (count_own_dmabufs() < 0)
		SKIP(return, "no " DMABUF_INFO);
	race->timeline = open(SW_SYNC, O_RDWR | O_CLOEXEC);
	if (race->timeline < 0)
		SKIP(return, "no sw_sync");
	race->fd = race->open(race);
	if (race->fd == -ENODEV)
		SKIP(return, "no such device");
	ASSERT_GE(race->fd, 0);
	if (race->open == open_vivid)
		ASSERT_EQ(0, set_small(race));
	race->media = vivid_open_media(race->fd);
	ASSERT_GE(race->media, 0);
	race->size = race->open == open_vivid ? SIDE * SIDE * 4 : SIZE;
	for (i = 0; i < BUFFERS; i++) {
		race->dmabuf[i] = system_heap_alloc(race->size);
		ASSERT_GE(race->dmabuf[i], 0);
		ASSERT_EQ(0, name_dmabuf(race->dmabuf[i]));
	}
}

FIXTURE_TEARDOWN(race)
{
}

TEST_F_TIMEOUT(race, all, 7200)
{
	const char *seconds = getenv("VB2_RACE_SECONDS");
	struct timespec left = { .tv_sec = seconds ? atoi(seconds) : 2 };
	struct race *race = &self->race;
	struct racer racers[THREADS];
	struct v4l2_requestbuffers req = {
		.count = BUFFERS,
		.type = race->type[0],
		.memory = V4L2_MEMORY_MMAP,
	};
	int i;

	for (i = 0; i < THREADS; i++) {
		racers[i].race = race;
		racers[i].seed = i + 1;
		ASSERT_EQ(0, pthread_create(&racers[i].thread, NULL, run,
					    &racers[i]));
	}
	nanosleep(&left, NULL);
	/*
	 * vivid only tries to take the lock for a frame, and with PREEMPT_RT
	 * hardly gets it while others want it.
	 */
	__atomic_store_n(&race->pause, true, __ATOMIC_RELAXED);
	/* a frame that takes longer than this will never arrive */
	alarm(600);
	while (!__atomic_load_n(&race->frames, __ATOMIC_RELAXED))
		sched_yield();
	__atomic_store_n(&race->stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_join(racers[i].thread, NULL));

	TH_LOG("%d frames", race->frames);

	/* a fence that never signals is still there */
	close(race->fd);
	race->fd = race->open(race);
	ASSERT_GE(race->fd, 0);
	EXPECT_EQ(0, v4l2_ioctl(race->fd, VIDIOC_REQBUFS, &req));
	close(race->fd);

	for (i = 0; i < BUFFERS; i++)
		close(race->dmabuf[i]);
	/* the kernel may still be about to free them, but not for ever */
	while (count_own_dmabufs())
		sched_yield();
	close(race->media);
	close(race->timeline);
}

TEST_HARNESS_MAIN
