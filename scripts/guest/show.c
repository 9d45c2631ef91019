// SPDX-License-Identifier: GPL-2.0
/*
 * A camera on a screen without a copy: it fills buffers of the display, imported
 * as dma-bufs, or the display shows those that the camera exports.
 *
 *	show vivid|uvcvideo DISPLAY imports|exports FRAMES FILE
 *
 * The camera of uvcvideo is unplugged then. The last frame stays on the screen
 * until the program is killed, and FILE gets its pixels as the display should
 * show them, for comparison from outside.
 */

#include "dmabuf_exporters.h"
#include "drm_screen.h"
#include "uvc_camera.h"
#include "vivid.h"

#include <stdlib.h>

/* the first size of the USB camera */
#define WIDTH	640
#define HEIGHT	480
#define BUFFERS	3

#define CHECK(call)							\
	do {								\
		int ret_ = (call);					\
									\
		if (ret_ < 0) {						\
			printf("%s: %s\n", #call, strerror(-ret_));	\
			exit(1);					\
		}							\
	} while (0)

static struct camera camera;
static bool usb;
static struct screen screen;
static uint32_t fb[BUFFERS];

/* The camera imports what the display exports. */
static int import_buffer(struct vivid_queue *q, int i)
{
	struct drm_mode_create_dumb dumb = {
		.width = WIDTH, .height = HEIGHT, .bpp = 32,
	};
	int ret;

	ret = v4l2_ioctl(screen.drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb);
	if (ret)
		return ret;
	if (dumb.pitch != 4 * WIDTH)
		return -EINVAL;
	q->dmabuf[i] = drm_export(screen.drm, dumb.handle);

	return q->dmabuf[i] < 0 ? q->dmabuf[i] :
	       screen_add(&screen, dumb.handle, &fb[i]);
}

/* The display imports what the camera exports. */
static int export_buffer(struct vivid_queue *q, int i)
{
	uint32_t handle;
	int ret;

	q->dmabuf[i] = vivid_export(q, i);
	if (q->dmabuf[i] < 0)
		return q->dmabuf[i];
	ret = screen_import(&screen, q->dmabuf[i], &handle);

	return ret ? ret : screen_add(&screen, handle, &fb[i]);
}

static int open_camera(struct vivid_queue *q)
{
	int ret;

	if (usb) {
		ret = camera_plug(&camera, false);
		if (ret)
			return ret;
		q->fd = camera_open(&camera, V4L2_CAP_VIDEO_CAPTURE);
		return q->fd < 0 ? q->fd : camera_set_format(q, CAMERA_RGB, 0);
	}

	q->fd = vivid_open("vivid-004-vid-cap");
	if (q->fd < 0)
		return q->fd;
	ret = vivid_set_input(q->fd, "Webcam");
	if (!ret)
		ret = vivid_set_format(q->fd, q->type, WIDTH, HEIGHT);

	return ret ? ret : vivid_set_rate(q->fd, 60);
}

static int queue(struct vivid_queue *q, int i)
{
	int ret;

	ret = vivid_qbuf(q, i);

	return ret || !usb ? ret : camera_ask(&camera, CAMERA_FRAME, 1);
}

/* Shows buffer @i and waits until the one before is off the screen. */
static int flip(int i)
{
	struct drm_mode_crtc_page_flip flip = {
		.crtc_id = screen.crtc, .fb_id = fb[i],
		.flags = DRM_MODE_PAGE_FLIP_EVENT,
	};
	char event[256];
	int ret;

	ret = v4l2_ioctl(screen.drm, DRM_IOCTL_MODE_PAGE_FLIP, &flip);
	if (ret)
		return ret;

	return read(screen.drm, event, sizeof(event)) > 0 ? 0 : -errno;
}

static int save(const char *path, const uint8_t *pixel)
{
	FILE *file = fopen(path, "w");
	int i;

	if (!file)
		return -errno;
	for (i = 0; i < WIDTH * HEIGHT; i++, pixel += 4) {
		putc(pixel[2], file);
		putc(pixel[1], file);
		putc(pixel[0], file);
	}

	return fclose(file) ? -errno : 0;
}

int main(int argc, char **argv)
{
	struct vivid_queue q = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int attachments = 0, shown = -1, cpu_only, i;
	unsigned int frames, wanted;
	bool exports;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 6)
		return 2;
	usb = !strcmp(argv[1], "uvcvideo");
	exports = !strcmp(argv[3], "exports");
	wanted = atoi(argv[4]);

	screen.drm = drm_open(argv[2]);
	CHECK(screen.drm);
	CHECK(screen_find(&screen, WIDTH, HEIGHT));
	CHECK(open_camera(&q));
	if (exports)
		CHECK(vivid_alloc_mmap(&q, BUFFERS));
	for (i = 0; i < BUFFERS; i++)
		CHECK(exports ? export_buffer(&q, i) : import_buffer(&q, i));
	if (!exports)
		CHECK(vivid_alloc_dmabuf(&q, BUFFERS, q.dmabuf,
					 4 * WIDTH * HEIGHT));
	CHECK(vivid_streamon(&q));
	for (i = 0; i < BUFFERS; i++)
		CHECK(queue(&q, i));

	for (frames = 0; frames < wanted; frames++) {
		i = vivid_dqbuf(&q);
		CHECK(i);
		if (shown < 0)
			CHECK(screen_show(&screen, fb[i]));
		else
			CHECK(flip(i));
		CHECK(screen_flush(&screen, fb[i]));
		/* what is on the screen is not given back to the camera */
		if (shown >= 0)
			CHECK(queue(&q, shown));
		shown = i;
	}

	for (i = 0; i < BUFFERS; i++)
		attachments += dmabuf_attachments(q.dmabuf[i], &cpu_only);
	printf("show %s %s %s: %u frames, %d buffers, %d attachments\n",
	       argv[1], argv[2], argv[3], frames, BUFFERS, attachments);

	CHECK(vivid_streamoff(&q));
	close(q.fd);
	camera_unplug(&camera);
	CHECK(save(argv[5], q.mem[shown]));
	printf("READY\n");
	pause();

	return 0;
}
