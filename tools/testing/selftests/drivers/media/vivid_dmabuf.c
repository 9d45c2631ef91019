// SPDX-License-Identifier: GPL-2.0
/*
 * Import of dma-bufs into vivid, a driver that fills and reads its buffers with
 * the CPU and never with a device.
 *
 * Needs root, debugfs, and instances of vivid with the default allocator,
 * vmalloc, two with the single-planar and one with the multi-planar API:
 *
 *	modprobe vivid n_devs=3 multiplanar=1,1,2
 *
 * A fourth one exports what dma-contig allocates (n_devs=4 multiplanar=1,1,2,1
 * allocators=0,0,0,1). Exporters that are not there are skipped.
 *
 * queue.io_memory crashes a kernel that takes I/O memory for system memory, and
 * long_plane one that does not compare every plane with its dma-buf.
 *
 * All frames are compared with what they should be, pixel by pixel. Capture:
 * vivid moves a still picture to the left, so that each frame is the picture
 * rotated by a few pixels more than the one before. Output: vivid loops the
 * frames back to its capture side, and each is a different noise.
 */

#include "../../kselftest_harness.h"
#include "dmabuf_exporters.h"
#include "vivid.h"

#define FRAMES		60U
#define BUFFERS		4
#define PIXEL		4

/* "Move Left Slow" moves a picture of WIDTH pixels by STEP pixels */
#define WIDTH		640U
#define STEP		2

#define CAPTURE_HEIGHT	360
#define CAPTURE_SIZE	(WIDTH * CAPTURE_HEIGHT * PIXEL)

#define LOOP_HEIGHT	480
#define LOOP_SIZE	(WIDTH * LOOP_HEIGHT * PIXEL)

/* the largest chunk that the system heap has */
#define HIGHMEM_CHUNK	(1024 * 1024)

/*
 * The picture comes round after WIDTH / STEP frames. That many can be lost on a
 * busy machine, less what could be left over in the buffers.
 */
#define MAX_LOST	(WIDTH / STEP - 2 * BUFFERS)

static int open_capture(void)
{
	int fd;

	fd = vivid_open("vivid-000-vid-cap");
	if (fd < 0)
		return fd;

	if (vivid_set_input(fd, "Webcam") ||
	    vivid_set_menu(fd, "OSD Text Mode", "None") ||
	    vivid_set_menu(fd, "Test Pattern", "100% Color Squares") ||
	    vivid_set_menu(fd, "Horizontal Movement", "No Movement") ||
	    vivid_set_format(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE, WIDTH,
			     CAPTURE_HEIGHT) ||
	    vivid_set_rate(fd, 60)) {
		close(fd);
		return -EIO;
	}

	return fd;
}

/* Is @frame the reference, rotated left by @shift pixels? */
static bool is_turned(const uint8_t *frame, const uint8_t *reference,
		      unsigned int shift)
{
	size_t line = WIDTH * PIXEL, left = shift * PIXEL;
	unsigned int y;

	for (y = 0; y < CAPTURE_HEIGHT; y++) {
		if (memcmp(frame, reference + left, line - left) ||
		    memcmp(frame + line - left, reference, left))
			return false;
		frame += line;
		reference += line;
	}

	return true;
}

/* Counts the dma-bufs whose only attachment is one without a device. */
static int attached(const int *dmabuf)
{
	int i, cpu_only, count = 0;

	for (i = 0; i < BUFFERS; i++)
		count += dmabuf_attachments(dmabuf[i], &cpu_only) == 1 &&
			 cpu_only == 1;

	return count;
}

/* Returns what /proc/meminfo has for @name, in bytes, or 0. */
static unsigned long long mem_info(const char *name)
{
	unsigned long long kilobytes = 0;
	char line[80];
	FILE *file;

	file = fopen("/proc/meminfo", "r");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), ": %llu", &kilobytes);
	fclose(file);

	return kilobytes << 10;
}

/*
 * The system heap takes high memory if there is any. The kernel has no address
 * for that until somebody maps it.
 */
static int highmem_alloc(size_t size)
{
	unsigned long long before = mem_info("HighFree");
	int dmabuf;

	if (!before)
		return -ENODEV;

	/* Single pages may come from per-CPU lists, not counted as free. */
	dmabuf = system_heap_alloc(size);
	if (dmabuf >= 0 && mem_info("HighFree") + size / 2 > before) {
		close(dmabuf);
		return -EIO;
	}

	return dmabuf;
}

static int vim2m_alloc(size_t size)
{
	return vivid_alloc_export("vim2m", size);
}

static int vicodec_alloc(size_t size)
{
	return vivid_alloc_export("stateful-encoder", size);
}

static int vimc_alloc(size_t size)
{
	return vivid_alloc_export("Raw Capture 1", size);
}

FIXTURE(import)
{
	int fd;
	int exporter;
	int dmabuf[BUFFERS];
	struct vivid_queue exported;
};

/* The source of the buffers: an allocator, or else a node of vivid. */
FIXTURE_VARIANT(import)
{
	int (*alloc)(size_t size);
	const char *vivid;
};

FIXTURE_VARIANT_ADD(import, system_heap) { .alloc = system_heap_alloc };
FIXTURE_VARIANT_ADD(import, highmem) { .alloc = highmem_alloc };
FIXTURE_VARIANT_ADD(import, cma_heap) { .alloc = cma_heap_alloc };
FIXTURE_VARIANT_ADD(import, shadow_heap) { .alloc = shadow_heap_alloc };
FIXTURE_VARIANT_ADD(import, udmabuf) { .alloc = udmabuf_alloc };
FIXTURE_VARIANT_ADD(import, udmabuf_hugetlb) { .alloc = udmabuf_hugetlb_alloc };
FIXTURE_VARIANT_ADD(import, vgem) { .alloc = vgem_alloc };
FIXTURE_VARIANT_ADD(import, virtio_gpu) { .alloc = virtio_gpu_alloc };
FIXTURE_VARIANT_ADD(import, vkms) { .alloc = vkms_alloc };
FIXTURE_VARIANT_ADD(import, bochs) { .alloc = bochs_alloc };
FIXTURE_VARIANT_ADD(import, cirrus) { .alloc = cirrus_alloc };
FIXTURE_VARIANT_ADD(import, qxl_dumb) { .alloc = qxl_dumb_alloc };
FIXTURE_VARIANT_ADD(import, vim2m) { .alloc = vim2m_alloc };
FIXTURE_VARIANT_ADD(import, vicodec) { .alloc = vicodec_alloc };
FIXTURE_VARIANT_ADD(import, vimc) { .alloc = vimc_alloc };
FIXTURE_VARIANT_ADD(import, vivid) { .vivid = "vivid-001-vid-cap" };
FIXTURE_VARIANT_ADD(import, vivid_dma_contig) { .vivid = "vivid-003-vid-cap" };
FIXTURE_VARIANT_ADD(import, vivid_dma_sg) { .vivid = "vivid-009-vid-cap" };

/* Fills self->dmabuf with buffers for the larger of both formats. */
FIXTURE_SETUP(import)
{
	int i;

	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);

	self->fd = -1;
	self->exporter = -1;
	for (i = 0; i < BUFFERS; i++)
		self->dmabuf[i] = -1;

	if (variant->vivid) {
		self->exporter = vivid_open(variant->vivid);
		if (self->exporter == -ENODEV)
			SKIP(return, "no %s", variant->vivid);
		ASSERT_GE(self->exporter, 0);
		ASSERT_EQ(0, vivid_set_input(self->exporter, "Webcam"));
		ASSERT_EQ(0, vivid_set_format(self->exporter,
					      V4L2_BUF_TYPE_VIDEO_CAPTURE,
					      WIDTH, LOOP_HEIGHT));
		self->exported.fd = self->exporter;
		self->exported.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
		ASSERT_EQ(0, vivid_alloc_mmap(&self->exported, BUFFERS));
	}

	for (i = 0; i < BUFFERS; i++) {
		self->dmabuf[i] = variant->vivid ?
				  vivid_export(&self->exported, i) :
				  variant->alloc(LOOP_SIZE);
		if (self->dmabuf[i] == -ENODEV)
			SKIP(return, "no such exporter");
		ASSERT_GE(self->dmabuf[i], 0);
	}

	self->fd = open_capture();
	if (self->fd == -ENODEV)
		SKIP(return, "no vivid-000-vid-cap");
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(import)
{
	int i;

	close(self->fd);
	for (i = 0; i < BUFFERS; i++)
		close(self->dmabuf[i]);
	if (self->exporter >= 0) {
		vivid_free(&self->exported);
		close(self->exporter);
	}
}

/* Captures into imported buffers. Every frame is complete, in place, new. */
TEST_F_TIMEOUT(import, capture, 120)
{
	struct vivid_queue q = {
		.fd = self->fd, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	};
	unsigned int frames, lost, next, shift = 0;
	int attachments, cpu_only, i;
	uint8_t *reference;

	reference = malloc(CAPTURE_SIZE);
	ASSERT_NE(NULL, reference);
	ASSERT_EQ(0, vivid_alloc_mmap(&q, 2));
	ASSERT_EQ(0, vivid_take_pictures(&q));
	ASSERT_EQ(CAPTURE_SIZE, q.size);
	memcpy(reference, q.mem[0], CAPTURE_SIZE);
	ASSERT_EQ(0, vivid_free(&q));
	ASSERT_FALSE(is_turned(reference, reference, STEP));

	ASSERT_EQ(0, vivid_set_menu(self->fd, "Horizontal Movement",
				    "Move Left Slow"));
	ASSERT_EQ(0, vivid_alloc_dmabuf(&q, BUFFERS, self->dmabuf,
					CAPTURE_SIZE));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, vivid_poison(&q, i));
		ASSERT_EQ(0, vivid_qbuf(&q, i));
	}
	ASSERT_EQ(0, vivid_streamon(&q));

	for (frames = 0; frames < FRAMES; frames++) {
		i = vivid_dqbuf(&q);
		ASSERT_GE(i, 0);

		ASSERT_EQ(0, sync_begin(q.dmabuf[i], DMA_BUF_SYNC_READ));
		for (lost = 0; lost < MAX_LOST; lost++) {
			next = (shift + lost * STEP) % WIDTH;
			if (is_turned(q.mem[i], reference, next))
				break;
		}
		ASSERT_EQ(0, sync_end(q.dmabuf[i], DMA_BUF_SYNC_READ));
		ASSERT_LT(lost, MAX_LOST) {
			TH_LOG("frame %u is none of those expected", frames);
		}
		shift = (next + STEP) % WIDTH;

		ASSERT_EQ(0, vivid_poison(&q, i));
		ASSERT_EQ(0, vivid_qbuf(&q, i));
	}

	/* While it streams, the exporter knows of each of its importers. */
	attachments = attached(self->dmabuf);
	EXPECT_EQ(BUFFERS, attachments);
	TH_LOG("capture %u frames, %d attachments", frames, attachments);

	/* Afterwards, no attachment is left. */
	ASSERT_EQ(0, vivid_streamoff(&q));
	ASSERT_EQ(0, vivid_free(&q));
	for (i = 0; i < BUFFERS; i++)
		EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[i], &cpu_only));
	free(reference);
}

/* Outputs from imported buffers. What comes back is what was queued. */
TEST_F_TIMEOUT(import, output, 120)
{
	struct vivid_queue out = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	struct vivid_queue cap = {
		.fd = self->fd, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	};
	unsigned int frames = 0, other = 0, repeated = 0, number = 0, next = 0;
	int attachments, cpu_only, i;
	uint32_t *noise, *frame;

	out.fd = vivid_open("vivid-000-vid-out");
	if (out.fd == -ENODEV)
		SKIP(return, "no vivid-000-vid-out");
	ASSERT_GE(out.fd, 0);
	noise = malloc(LOOP_SIZE);
	ASSERT_NE(NULL, noise);

	ASSERT_EQ(0, vivid_set_output(out.fd, "HDMI 000-0"));
	ASSERT_EQ(0, vivid_set_input(cap.fd, "HDMI 000-0"));
	ASSERT_EQ(0, vivid_set_menu(cap.fd, "HDMI 000-0 Is Connected To",
				    "Output HDMI 000-0"));
	ASSERT_EQ(0, vivid_set_timings(out.fd));
	ASSERT_EQ(0, vivid_set_timings(cap.fd));
	ASSERT_EQ(0, vivid_set_format(out.fd, out.type, WIDTH, LOOP_HEIGHT));
	ASSERT_EQ(0, vivid_set_format(cap.fd, cap.type, WIDTH, LOOP_HEIGHT));

	ASSERT_EQ(0, vivid_alloc_dmabuf(&out, BUFFERS, self->dmabuf,
					LOOP_SIZE));
	ASSERT_EQ(0, vivid_alloc_mmap(&cap, BUFFERS));
	for (i = 0; i < BUFFERS; i++) {
		ASSERT_EQ(0, vivid_qbuf(&cap, i));
		ASSERT_EQ(0, sync_begin(out.dmabuf[i], DMA_BUF_SYNC_WRITE));
		fill_noise(out.mem[i], LOOP_SIZE, number++);
		ASSERT_EQ(0, sync_end(out.dmabuf[i], DMA_BUF_SYNC_WRITE));
		ASSERT_EQ(0, vivid_qbuf(&out, i));
	}
	ASSERT_EQ(0, vivid_streamon(&out));
	ASSERT_EQ(0, vivid_streamon(&cap));

	while (frames < FRAMES) {
		/* Refill the buffer with new noise and queue it again. */
		i = vivid_dqbuf(&out);
		ASSERT_GE(i, 0);
		ASSERT_EQ(0, sync_begin(out.dmabuf[i], DMA_BUF_SYNC_WRITE));
		fill_noise(out.mem[i], LOOP_SIZE, number++);
		ASSERT_EQ(0, sync_end(out.dmabuf[i], DMA_BUF_SYNC_WRITE));
		ASSERT_EQ(0, vivid_qbuf(&out, i));

		/* Before the first output vivid shows a picture of its own. */
		i = vivid_dqbuf(&cap);
		ASSERT_GE(i, 0);
		frame = cap.mem[i];
		fill_noise(noise, LOOP_SIZE, frame[0]);
		if (memcmp(frame, noise, LOOP_SIZE) || frame[0] >= number) {
			ASSERT_EQ(0U, frames) {
				TH_LOG("frame %u was never queued", frames);
			}
			ASSERT_LT(++other, 4 * FRAMES);
		} else if (frame[0] >= next) {
			next = frame[0] + 1;
			frames++;
		} else {
			/* Late output shows again, but nothing older does. */
			ASSERT_EQ(next, frame[0] + 1);
			ASSERT_LT(++repeated, 4 * FRAMES);
		}
		memset(frame, POISON, LOOP_SIZE);
		ASSERT_EQ(0, vivid_qbuf(&cap, i));
	}

	attachments = attached(self->dmabuf);
	EXPECT_EQ(BUFFERS, attachments);
	TH_LOG("output %u frames, %d attachments", frames, attachments);

	ASSERT_EQ(0, vivid_streamoff(&cap));
	ASSERT_EQ(0, vivid_streamoff(&out));
	ASSERT_EQ(0, vivid_free(&cap));
	ASSERT_EQ(0, vivid_free(&out));
	for (i = 0; i < BUFFERS; i++)
		EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[i], &cpu_only));
	close(out.fd);
	free(noise);
}

/* One capture queue, for tests that need no frames. */
FIXTURE(queue)
{
	struct vivid_queue q;
	int dmabuf[2];
};

FIXTURE_SETUP(queue)
{
	int i;

	if (access(DMABUF_INFO, R_OK))
		SKIP(return, "no " DMABUF_INFO);

	self->q.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	self->q.fd = open_capture();
	if (self->q.fd == -ENODEV)
		SKIP(return, "no vivid-000-vid-cap");
	ASSERT_GE(self->q.fd, 0);

	for (i = 0; i < 2; i++) {
		self->dmabuf[i] = system_heap_alloc(CAPTURE_SIZE);
		if (self->dmabuf[i] == -ENODEV)
			SKIP(return, "no system heap");
		ASSERT_GE(self->dmabuf[i], 0);
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->q, 2, self->dmabuf,
					CAPTURE_SIZE));
}

FIXTURE_TEARDOWN(queue)
{
	close(self->dmabuf[0]);
	close(self->dmabuf[1]);
	close(self->q.fd);
}

/* Another dma-buf for the same buffer takes the place of the one before. */
TEST_F(queue, replace)
{
	int cpu_only;

	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	ASSERT_EQ(0, vivid_streamoff(&self->q));

	/* The queue still knows the buffer. */
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	ASSERT_EQ(0, vivid_streamoff(&self->q));

	self->q.dmabuf[0] = self->dmabuf[1];
	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[1], &cpu_only));
	EXPECT_EQ(1, cpu_only);
}

/* Two buffers of one queue, and a second queue, attach on their own. */
TEST_F(queue, share)
{
	struct vivid_queue other = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int cpu_only;

	other.fd = vivid_open("vivid-001-vid-cap");
	if (other.fd == -ENODEV)
		SKIP(return, "no vivid-001-vid-cap");
	ASSERT_GE(other.fd, 0);
	ASSERT_EQ(0, vivid_set_input(other.fd, "Webcam"));
	ASSERT_EQ(0, vivid_set_format(other.fd, other.type, WIDTH,
				      CAPTURE_HEIGHT));
	ASSERT_EQ(0, vivid_alloc_dmabuf(&other, 2, self->dmabuf,
					CAPTURE_SIZE));

	self->q.dmabuf[1] = self->dmabuf[0];
	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	ASSERT_EQ(0, vivid_qbuf(&self->q, 1));
	ASSERT_EQ(0, vivid_qbuf(&other, 0));
	EXPECT_EQ(3, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	EXPECT_EQ(3, cpu_only);

	ASSERT_EQ(0, vivid_free(&self->q));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	ASSERT_EQ(0, vivid_free(&other));
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	close(other.fd);
}

/* A queue may import what it exported itself and then freed. */
TEST_F(queue, import_own)
{
	int own[2], cpu_only, i;

	ASSERT_EQ(0, vivid_free(&self->q));
	ASSERT_EQ(0, vivid_alloc_mmap(&self->q, 2));
	for (i = 0; i < 2; i++) {
		own[i] = vivid_export(&self->q, i);
		ASSERT_GE(own[i], 0);
	}
	ASSERT_EQ(0, vivid_free(&self->q));

	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->q, 2, own, CAPTURE_SIZE));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vivid_qbuf(&self->q, i));
	ASSERT_EQ(0, vivid_streamon(&self->q));
	EXPECT_EQ(1, dmabuf_attachments(own[0], &cpu_only));
	EXPECT_EQ(1, cpu_only);
	EXPECT_GE(vivid_dqbuf(&self->q), 0);
	ASSERT_EQ(0, vivid_streamoff(&self->q));
	ASSERT_EQ(0, vivid_free(&self->q));
	EXPECT_EQ(0, dmabuf_attachments(own[0], &cpu_only));
	close(own[0]);
	close(own[1]);
}

/* Closing the node while it streams detaches. */
TEST_F(queue, close_streaming)
{
	int cpu_only;

	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	ASSERT_EQ(0, vivid_qbuf(&self->q, 1));
	ASSERT_EQ(0, vivid_streamon(&self->q));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	EXPECT_EQ(1, cpu_only);

	ASSERT_EQ(0, close(self->q.fd));
	self->q.fd = -1;
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[1], &cpu_only));
}

/* A dma-buf that is too small fails with -EINVAL, and is not kept. */
TEST_F(queue, too_small)
{
	int cpu_only;

	EXPECT_EQ(-EINVAL, vivid_qbuf_len(&self->q, 0, 2 * CAPTURE_SIZE, 0));
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	EXPECT_EQ(0, vivid_qbuf(&self->q, 0));
}

/* A buffer of a request that is refused can be queued with another dma-buf. */
TEST_F(queue, refused_request)
{
	int media, request, cpu_only;

	media = vivid_open_media(self->q.fd);
	if (media == -ENODEV)
		SKIP(return, "no media device");
	ASSERT_GE(media, 0);
	ASSERT_EQ(0, v4l2_ioctl(media, MEDIA_IOC_REQUEST_ALLOC, &request));

	/* the request is refused because of its second buffer */
	self->q.request = request;
	self->q.dmabuf[1] = dup(self->dmabuf[1]);
	ASSERT_GE(self->q.dmabuf[1], 0);
	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	ASSERT_EQ(0, vivid_qbuf(&self->q, 1));
	ASSERT_EQ(0, close(self->q.dmabuf[1]));
	ASSERT_EQ(-EINVAL, v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL));
	ASSERT_EQ(0, v4l2_ioctl(request, MEDIA_REQUEST_IOC_REINIT, NULL));

	self->q.dmabuf[0] = self->dmabuf[1];
	ASSERT_EQ(0, vivid_qbuf(&self->q, 0));
	ASSERT_EQ(0, v4l2_ioctl(request, MEDIA_REQUEST_IOC_QUEUE, NULL));
	EXPECT_EQ(0, dmabuf_attachments(self->dmabuf[0], &cpu_only));
	EXPECT_EQ(1, dmabuf_attachments(self->dmabuf[1], &cpu_only));
	EXPECT_EQ(0, vivid_streamoff(&self->q));
	close(request);
	close(media);
}

/* Two planes in one dma-buf, the second of them longer than the dma-buf */
TEST(long_plane)
{
	enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	struct v4l2_format format = {
		.type = type,
		.fmt.pix_mp = {
			.width = WIDTH,
			.height = CAPTURE_HEIGHT,
			.pixelformat = V4L2_PIX_FMT_NV16M,
			.field = V4L2_FIELD_NONE,
			.num_planes = 2,
			.plane_fmt = {
				{ .bytesperline = WIDTH },
				{ .bytesperline = 16 * WIDTH },
			},
		},
	};
	struct v4l2_requestbuffers req = {
		.count = 2, .type = type, .memory = V4L2_MEMORY_DMABUF,
	};
	struct v4l2_plane planes[2] = { };
	struct v4l2_buffer buf = {
		.type = type,
		.memory = V4L2_MEMORY_DMABUF,
		.length = 2,
		.m.planes = planes,
	};
	struct pollfd pollfd = { .events = POLLIN };
	int fd, dmabuf, i, ret = -EINVAL;

	fd = vivid_open("vivid-002-vid-cap");
	if (fd == -ENODEV)
		SKIP(return, "no vivid-002-vid-cap");
	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, vivid_set_input(fd, "Webcam"));
	if (v4l2_ioctl(fd, VIDIOC_S_FMT, &format))
		SKIP(return, "vivid-002-vid-cap is not multi-planar");
	for (i = 0; i < 2; i++)
		planes[i].length = format.fmt.pix_mp.plane_fmt[i].sizeimage;
	ASSERT_LT(planes[0].length, planes[1].length);

	dmabuf = system_heap_alloc(planes[0].length);
	if (dmabuf == -ENODEV)
		SKIP(return, "no system heap");
	ASSERT_GE(dmabuf, 0);
	planes[0].m.fd = dmabuf;
	planes[1].m.fd = dmabuf;

	ASSERT_EQ(0, v4l2_ioctl(fd, VIDIOC_REQBUFS, &req));
	for (buf.index = 0; buf.index < req.count; buf.index++) {
		ret = v4l2_ioctl(fd, VIDIOC_QBUF, &buf);
		EXPECT_EQ(-EINVAL, ret);
	}

	/* If that was accepted, vivid writes past the end of the dma-buf. */
	EXPECT_EQ(0, v4l2_ioctl(fd, VIDIOC_STREAMON, &type));
	pollfd.fd = fd;
	if (!ret)
		EXPECT_EQ(1, poll(&pollfd, 1, -1));
	close(dmabuf);
	close(fd);
}

/* The length of a buffer has 32 bits. */
TEST_F_TIMEOUT(queue, four_gigabytes, 600)
{
	uint8_t *mem, *reference = self->q.mem[0];
	int huge, cpu_only;

	if (sizeof(long) == 4)
		SKIP(return, "no dma-buf is that large");
	huge = udmabuf_repeat((size_t)(1ull << 32));
	if (huge == -ENODEV)
		SKIP(return, "no udmabuf");
	ASSERT_GE(huge, 0);
	mem = mmap(NULL, CAPTURE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		   huge, 0);
	ASSERT_NE(MAP_FAILED, mem);
	memset(mem, POISON, CAPTURE_SIZE);
	ASSERT_EQ(0, vivid_take_pictures(&self->q));

	self->q.dmabuf[0] = huge;
	ASSERT_EQ(0, vivid_qbuf_len(&self->q, 0, 0, 0));
	ASSERT_EQ(0, vivid_qbuf(&self->q, 1));
	ASSERT_EQ(0, vivid_streamon(&self->q));
	EXPECT_GE(vivid_dqbuf(&self->q), 0);
	EXPECT_GE(vivid_dqbuf(&self->q), 0);
	ASSERT_EQ(0, vivid_streamoff(&self->q));
	EXPECT_EQ(0, memcmp(mem, reference, CAPTURE_SIZE));

	memset(mem, POISON, CAPTURE_SIZE);
	ASSERT_EQ(0, vivid_take_pictures(&self->q));
	EXPECT_EQ(0, memcmp(mem, reference, CAPTURE_SIZE));

	EXPECT_EQ(1, dmabuf_attachments(huge, &cpu_only));
	EXPECT_EQ(0, vivid_free(&self->q));
	EXPECT_EQ(0, dmabuf_attachments(huge, &cpu_only));
	munmap(mem, CAPTURE_SIZE);
	close(huge);
}

/* A dma-buf that does not fit into the bounce buffer of the devices */
TEST_F_TIMEOUT(queue, four_gigabytes_bounced, 600)
{
	static const char *const nodes[] = {
		"vivid-003-vid-cap", "vivid-009-vid-cap",
	};
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	unsigned int i;
	int huge, cpu_only;

	if (sizeof(long) == 4)
		SKIP(return, "no dma-buf is that large");
	if (system("grep -q swiotlb=force /proc/cmdline") ||
	    access("/sys/kernel/debug/swiotlb/io_tlb_used", F_OK))
		SKIP(return, "devices use no bounce buffers");
	huge = udmabuf_repeat((size_t)(1ull << 32));
	if (huge == -ENODEV)
		SKIP(return, "no udmabuf");
	ASSERT_GE(huge, 0);

	for (i = 0; i < ARRAY_SIZE(nodes); i++) {
		q.fd = vivid_open(nodes[i]);
		if (q.fd == -ENODEV)
			SKIP(return, "no %s", nodes[i]);
		ASSERT_GE(q.fd, 0);
		ASSERT_EQ(0, vivid_set_input(q.fd, "Webcam"));
		ASSERT_EQ(0, vivid_set_format(q.fd, q.type, WIDTH,
					      CAPTURE_HEIGHT));
		q.memory = V4L2_MEMORY_DMABUF;
		ASSERT_EQ(0, vivid_reqbufs(&q, 2));
		q.dmabuf[0] = huge;
		EXPECT_EQ(-ENOMEM, vivid_qbuf_len(&q, 0, 0, 0));
		EXPECT_EQ(-ENOMEM, vivid_qbuf_len(&q, 0, CAPTURE_SIZE, 0));
		EXPECT_EQ(0, dmabuf_attachments(huge, &cpu_only));
		close(q.fd);
	}
	close(huge);
}

/* The end of a user pointer may wrap. */
TEST(userptr_wraps)
{
	struct vivid_queue q = {
		.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_USERPTR,
	};
	size_t page = sysconf(_SC_PAGESIZE);
	struct v4l2_buffer buf = {
		.type = q.type,
		.memory = q.memory,
		.length = CAPTURE_SIZE,
		.m.userptr = -page,
	};

	q.fd = vivid_open("vivid-000-vid-cap");
	if (q.fd == -ENODEV)
		SKIP(return, "no vivid-000-vid-cap");
	ASSERT_GE(q.fd, 0);
	ASSERT_EQ(0, vivid_set_input(q.fd, "Webcam"));
	ASSERT_EQ(0, vivid_set_format(q.fd, q.type, WIDTH, CAPTURE_HEIGHT));
	ASSERT_EQ(0, vivid_reqbufs(&q, 2));
	EXPECT_EQ(-EFAULT, v4l2_ioctl(q.fd, VIDIOC_QBUF, &buf));
	close(q.fd);
}

/* A driver that copies frames with the CPU refuses I/O memory. */
TEST_F(queue, io_memory)
{
	int vram, cpu_only;

	vram = qxl_vram_alloc(CAPTURE_SIZE);
	if (vram == -ENODEV)
		SKIP(return, "no qxl device");
	ASSERT_GE(vram, 0);

	self->q.dmabuf[0] = vram;
	EXPECT_EQ(-EOPNOTSUPP, vivid_qbuf(&self->q, 0));
	EXPECT_EQ(0, dmabuf_attachments(vram, &cpu_only));
	EXPECT_EQ(0, vivid_free(&self->q));
	close(vram);
}

/* A single chunk of high memory is contiguous, but has no address either. */
TEST_F(queue, highmem)
{
	uint8_t *reference;
	int both[2], i;

	both[0] = highmem_alloc(HIGHMEM_CHUNK);
	if (both[0] == -ENODEV)
		SKIP(return, "no high memory");
	ASSERT_GE(both[0], 0);
	both[1] = both[0];

	reference = malloc(CAPTURE_SIZE);
	ASSERT_NE(NULL, reference);
	ASSERT_EQ(0, vivid_free(&self->q));
	ASSERT_EQ(0, vivid_alloc_mmap(&self->q, 2));
	ASSERT_EQ(0, vivid_take_pictures(&self->q));
	memcpy(reference, self->q.mem[0], CAPTURE_SIZE);
	ASSERT_EQ(0, vivid_free(&self->q));

	ASSERT_EQ(0, vivid_alloc_dmabuf(&self->q, 2, both, CAPTURE_SIZE));
	ASSERT_EQ(0, vivid_poison(&self->q, 0));
	ASSERT_EQ(0, vivid_take_pictures(&self->q));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, memcmp(reference, self->q.mem[i], CAPTURE_SIZE));
	EXPECT_EQ(0, vivid_free(&self->q));
	close(both[0]);
	free(reference);
}

/* A system with more memory than vmalloc space can run out of addresses. */
TEST_F(queue, no_addresses)
{
	unsigned long long size = mem_info("VmallocTotal");
	int dmabuf, cpu_only;

	if (!size || size > mem_info("HighFree"))
		SKIP(return, "addresses do not run out");
	dmabuf = system_heap_alloc(size);
	ASSERT_GE(dmabuf, 0);

	self->q.dmabuf[0] = dmabuf;
	EXPECT_EQ(-ENOMEM, vivid_qbuf(&self->q, 0));
	EXPECT_EQ(0, dmabuf_attachments(dmabuf, &cpu_only));
	self->q.dmabuf[0] = self->dmabuf[0];
	EXPECT_EQ(0, vivid_qbuf(&self->q, 0));
	close(dmabuf);
}

/* Tracing sees an attachment that has no device come and go. */
TEST_F(queue, trace)
{
#define INSTANCE "/sys/kernel/tracing/instances/vivid_dmabuf"
	int attached = 0, detached = 0;
	char line[512];
	FILE *trace;

	if (access("/sys/kernel/tracing/events/dma_buf", F_OK))
		SKIP(return, "no dma_buf events");

	rmdir(INSTANCE);
	ASSERT_EQ(0, mkdir(INSTANCE, 0700));
	ASSERT_TRUE(write_file(INSTANCE "/events/dma_buf/enable", "1"));

	EXPECT_EQ(0, vivid_qbuf(&self->q, 0));
	EXPECT_EQ(0, vivid_free(&self->q));

	ASSERT_TRUE(write_file(INSTANCE "/events/dma_buf/enable", "0"));
	trace = fopen(INSTANCE "/trace", "r");
	ASSERT_NE(NULL, trace);
	while (fgets(line, sizeof(line), trace)) {
		if (!strstr(line, "dev_name=<cpu>"))
			continue;
		attached += !!strstr(line, "dma_buf_dynamic_attach:");
		detached += !!strstr(line, "dma_buf_detach:");
	}
	fclose(trace);
	EXPECT_EQ(0, rmdir(INSTANCE));
	EXPECT_GE(attached, 1);
	EXPECT_GE(detached, 1);
}

/* A size that exceeds the memory of the machine is just an error. */
TEST(larger_than_memory)
{
	const uint32_t size = UINT32_MAX - 65535;
	static const char *const nodes[] = {
		"vivid-000-vid-cap", "vivid-003-vid-cap",
	};
	unsigned int i;
	int fd;

	if (sysconf(_SC_PHYS_PAGES) >= size / sysconf(_SC_PAGESIZE))
		SKIP(return, "there is that much memory");
	for (i = 0; i < 2; i++) {
		struct v4l2_create_buffers create = {
			.count = 1,
			.memory = V4L2_MEMORY_MMAP,
			.format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		};

		fd = vivid_open(nodes[i]);
		if (fd == -ENODEV)
			SKIP(return, "no %s", nodes[i]);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, v4l2_ioctl(fd, VIDIOC_G_FMT, &create.format));
		create.format.fmt.pix.sizeimage = size;
		EXPECT_EQ(-ENOMEM, v4l2_ioctl(fd, VIDIOC_CREATE_BUFS, &create));
		close(fd);
	}
}

#define PARTS	16

static int vmalloc_alloc(size_t size)
{
	return vivid_alloc_export("vivid-001-vid-cap", size);
}

static int dma_contig_alloc(size_t size)
{
	return vivid_alloc_export("vivid-003-vid-cap", size);
}

static int dma_sg_alloc(size_t size)
{
	return vivid_alloc_export("vivid-009-vid-cap", size);
}

FIXTURE(part)
{
	int dmabuf;
	size_t page, size;
	uint8_t *all;
};

FIXTURE_VARIANT(part)
{
	int (*alloc)(size_t size);
};

FIXTURE_VARIANT_ADD(part, system_heap) { .alloc = system_heap_alloc };
FIXTURE_VARIANT_ADD(part, cma_heap) { .alloc = cma_heap_alloc };
FIXTURE_VARIANT_ADD(part, dma_sg) { .alloc = dma_sg_alloc };
FIXTURE_VARIANT_ADD(part, udmabuf) { .alloc = udmabuf_alloc };
FIXTURE_VARIANT_ADD(part, vmalloc) { .alloc = vmalloc_alloc };
FIXTURE_VARIANT_ADD(part, dma_contig) { .alloc = dma_contig_alloc };
FIXTURE_VARIANT_ADD(part, vgem) { .alloc = vgem_alloc };
FIXTURE_VARIANT_ADD(part, virtio_gpu) { .alloc = virtio_gpu_alloc };
FIXTURE_VARIANT_ADD(part, vkms) { .alloc = vkms_alloc };
FIXTURE_VARIANT_ADD(part, bochs) { .alloc = bochs_alloc };
FIXTURE_VARIANT_ADD(part, cirrus) { .alloc = cirrus_alloc };
FIXTURE_VARIANT_ADD(part, qxl_dumb) { .alloc = qxl_dumb_alloc };

/* Each page begins with its number. */
FIXTURE_SETUP(part)
{
	size_t offset;

	self->page = sysconf(_SC_PAGESIZE);
	self->size = PARTS * self->page;
	self->dmabuf = variant->alloc(self->size);
	if (self->dmabuf == -ENODEV)
		SKIP(return, "no such exporter");
	ASSERT_GE(self->dmabuf, 0);
	self->all = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->dmabuf, 0);
	ASSERT_NE(MAP_FAILED, self->all);
	ASSERT_EQ(0, sync_begin(self->dmabuf, DMA_BUF_SYNC_RW));
	for (offset = 0; offset < self->size; offset += self->page)
		self->all[offset] = offset / self->page;
}

FIXTURE_TEARDOWN(part)
{
	EXPECT_EQ(0, sync_end(self->dmabuf, DMA_BUF_SYNC_RW));
	munmap(self->all, self->size);
	close(self->dmabuf);
}

/* A mapping at an offset shows what the dma-buf has at that offset. */
TEST_F(part, offset)
{
	size_t offset;
	uint8_t *part;

	for (offset = 0; offset < self->size; offset += self->page) {
		part = mmap(NULL, self->page, PROT_READ, MAP_SHARED,
			    self->dmabuf, offset);
		ASSERT_NE(MAP_FAILED, part);
		EXPECT_EQ(offset / self->page, *part);
		munmap(part, self->page);
	}
}

/* The end of a mapping stays the same when its beginning is unmapped. */
TEST_F(part, rest)
{
	size_t offset, size;
	uint8_t *part;

	for (offset = self->page; offset < self->size; offset += self->page) {
		size = offset + self->page;
		part = mmap(NULL, size, PROT_READ, MAP_SHARED, self->dmabuf,
			    0);
		ASSERT_NE(MAP_FAILED, part);
		ASSERT_EQ(0, munmap(part, offset));
		EXPECT_EQ(offset / self->page, part[offset]);
		munmap(part + offset, self->page);
	}
}

TEST_HARNESS_MAIN
