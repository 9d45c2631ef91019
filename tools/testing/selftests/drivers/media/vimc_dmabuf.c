// SPDX-License-Identifier: GPL-2.0
/*
 * Checks that vimc, with either of its allocators, informs the exporter of a
 * buffer when it copies a picture to it, and that no CPU access is left when it
 * is unbound while streaming. What devices see of a buffer of the shadow heap
 * shows the former, what the CPU sees of a write by a device the latter.
 *
 * Needs root, debugfs and CONFIG_DMABUF_HEAPS_SHADOW.
 */

#include <linux/media-bus-format.h>
#include <linux/v4l2-subdev.h>

#include "../../kselftest_harness.h"
#include "dmabuf_shadow.h"
#include "vivid.h"

#define SENSOR		"Sensor B"
#define NODE		"Raw Capture 1"
#define WIDTH		640
#define HEIGHT		480

#define DRIVER		"/sys/bus/platform/drivers/vimc/"
#define DEVICE		"vimc.0"

FIXTURE(vimc)
{
	struct vivid_queue q;
	int dmabuf[2];
	uint8_t *picture;
	uint8_t *device;
};

/* Writes the device's name to a file of the driver: "bind" or "unbind". */
static int driver_write(const char *name)
{
	char path[128];
	int fd, ret = 0;

	snprintf(path, sizeof(path), DRIVER "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, DEVICE, strlen(DEVICE)) < 0)
		ret = -errno;
	close(fd);

	return ret;
}

/* The debayer, also linked to the sensor, rejects the sensor's default. */
static int set_formats(struct vivid_queue *q)
{
	struct v4l2_subdev_format format = {
		.which = V4L2_SUBDEV_FORMAT_ACTIVE,
		.format = {
			.width = WIDTH,
			.height = HEIGHT,
			.code = MEDIA_BUS_FMT_SRGGB8_1X8,
			.field = V4L2_FIELD_NONE,
			.colorspace = V4L2_COLORSPACE_SRGB,
		},
	};
	int fd, ret;

	fd = vivid_open(SENSOR);
	if (fd < 0)
		return fd;
	ret = v4l2_ioctl(fd, VIDIOC_SUBDEV_S_FMT, &format);
	close(fd);

	return ret ? ret : vivid_set_pix(q, V4L2_PIX_FMT_SRGGB8, WIDTH, HEIGHT);
}

/* The time is written into the upper half of a picture. */
static bool is_same(struct vivid_queue *q, const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a + q->size / 2, b + q->size / 2, q->size / 2);
}

FIXTURE_SETUP(vimc)
{
	struct vivid_queue *q = &self->q;
	int i;

	if (access(SHADOW_DIR, R_OK))
		SKIP(return, "no " SHADOW_DIR);

	q->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	q->fd = vivid_open(NODE);
	if (q->fd == -ENODEV)
		SKIP(return, "no vimc");
	ASSERT_GE(q->fd, 0);
	ASSERT_EQ(0, set_formats(q));

	ASSERT_EQ(0, vivid_alloc_mmap(q, 2));
	ASSERT_EQ(0, vivid_take_pictures(q));
	self->picture = malloc(q->size);
	ASSERT_NE(NULL, self->picture);
	memcpy(self->picture, q->mem[0], q->size);
	ASSERT_FALSE(is_filled(self->picture + q->size / 2, POISON,
			       q->size / 2));
	ASSERT_EQ(0, vivid_free(q));

	self->device = malloc(q->size);
	ASSERT_NE(NULL, self->device);
	memset(self->device, POISON, q->size);
	for (i = 0; i < 2; i++) {
		self->dmabuf[i] = shadow_heap_alloc(q->size);
		ASSERT_GE(self->dmabuf[i], 0);
		ASSERT_EQ(0, shadow_device_write(self->dmabuf[i], self->device,
						 q->size));
	}
	ASSERT_EQ(0, vivid_alloc_dmabuf(q, 2, self->dmabuf, q->size));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, vivid_try_buffer(q, i, VIDIOC_QBUF));
}

FIXTURE_TEARDOWN(vimc)
{
	int i;

	close(self->q.fd);
	for (i = 0; i < 2; i++)
		close(self->dmabuf[i]);
	free(self->device);
	free(self->picture);
}

TEST_F_TIMEOUT(vimc, capture, 60)
{
	struct vivid_queue *q = &self->q;
	int i;

	ASSERT_EQ(0, vivid_streamon(q));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(i, vivid_dqbuf(q));
		ASSERT_EQ(0, shadow_device_read(self->dmabuf[i], self->device,
						q->size));
		EXPECT_TRUE(is_same(q, self->device, self->picture));
		EXPECT_TRUE(shadow_no_writer(self->dmabuf[i]));
	}
	ASSERT_EQ(0, vivid_streamoff(q));
}

/* Unbind with one buffer queued and one done, while the file stays open. */
TEST_F_TIMEOUT(vimc, unbind, 60)
{
	struct vivid_queue *q = &self->q;
	struct pollfd pollfd = { .fd = q->fd, .events = POLLIN };
	int fd;

	ASSERT_EQ(0, vivid_streamon(q));
	ASSERT_EQ(1, poll(&pollfd, 1, -1));
	ASSERT_EQ(0, driver_write("unbind"));
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, 2));
	EXPECT_EQ(-ENODEV, vivid_dqbuf(q));
	EXPECT_EQ(-ENODEV, vivid_qbuf(q, 0));

	close(q->fd);
	q->fd = -1;
	EXPECT_TRUE(shadow_no_writers(self->dmabuf, 2));

	ASSERT_EQ(0, driver_write("bind"));
	fd = vivid_open(NODE);
	EXPECT_GE(fd, 0);
	close(fd);
}

TEST_HARNESS_MAIN
