// SPDX-License-Identifier: GPL-2.0
/*
 * A camera on a screen without a copy: vivid captures into buffers of the
 * display, imported as dma-bufs, and the display shows those same buffers.
 *
 *	show FRAMES FILE
 *
 * The last frame stays on the screen until the program is killed, and FILE gets
 * its pixels as the display should show them, for comparison from outside.
 */

#include "dmabuf_exporters.h"
#include "vivid.h"

#include <drm/drm_fourcc.h>
#include <stdlib.h>

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

static int drm;
static uint32_t crtc, connector, fb[BUFFERS];
static struct drm_mode_modeinfo mode;

/* Finds the first screen that is on, and its mode of our size. */
static int find_screen(void)
{
	struct drm_mode_modeinfo modes[64];
	uint32_t crtcs[8], connectors[8], encoders[8], props[64];
	uint64_t values[64];
	struct drm_mode_card_res res = {
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 8,
		.connector_id_ptr = (uintptr_t)connectors, .count_connectors = 8,
	};
	struct drm_mode_get_connector conn = { };
	unsigned int i;
	int ret;

	ret = v4l2_ioctl(drm, DRM_IOCTL_MODE_GETRESOURCES, &res);
	if (ret)
		return ret;
	if (!res.count_crtcs || !res.count_connectors)
		return -ENOENT;
	crtc = crtcs[0];
	connector = connectors[0];

	/* the first call probes and counts, the second one fetches */
	conn.connector_id = connector;
	ret = v4l2_ioctl(drm, DRM_IOCTL_MODE_GETCONNECTOR, &conn);
	if (ret)
		return ret;
	if (conn.count_modes > 64 || conn.count_props > 64 ||
	    conn.count_encoders > 8)
		return -E2BIG;
	conn.modes_ptr = (uintptr_t)modes;
	conn.props_ptr = (uintptr_t)props;
	conn.prop_values_ptr = (uintptr_t)values;
	conn.encoders_ptr = (uintptr_t)encoders;
	ret = v4l2_ioctl(drm, DRM_IOCTL_MODE_GETCONNECTOR, &conn);
	if (ret)
		return ret;

	for (i = 0; i < conn.count_modes; i++)
		if (modes[i].hdisplay == WIDTH && modes[i].vdisplay == HEIGHT) {
			mode = modes[i];
			return 0;
		}

	return -ENOENT;
}

static int make_buffer(int i, int *dmabuf)
{
	struct drm_mode_create_dumb dumb = {
		.width = WIDTH, .height = HEIGHT, .bpp = 32,
	};
	struct drm_mode_fb_cmd2 cmd = {
		.width = WIDTH, .height = HEIGHT,
		.pixel_format = DRM_FORMAT_XRGB8888,
	};
	int ret;

	ret = v4l2_ioctl(drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb);
	if (ret)
		return ret;

	cmd.handles[0] = dumb.handle;
	cmd.pitches[0] = dumb.pitch;
	ret = v4l2_ioctl(drm, DRM_IOCTL_MODE_ADDFB2, &cmd);
	if (ret)
		return ret;
	fb[i] = cmd.fb_id;

	*dmabuf = drm_export(drm, dumb.handle);
	if (*dmabuf < 0)
		return *dmabuf;

	return dumb.pitch == 4 * WIDTH ? 0 : -EINVAL;
}

static int set_screen(int i)
{
	struct drm_mode_crtc set = {
		.crtc_id = crtc, .fb_id = fb[i], .mode = mode, .mode_valid = 1,
		.set_connectors_ptr = (uintptr_t)&connector,
		.count_connectors = 1,
	};

	return v4l2_ioctl(drm, DRM_IOCTL_MODE_SETCRTC, &set);
}

/* Shows buffer @i and waits until the one before is off the screen. */
static int flip(int i)
{
	struct drm_mode_crtc_page_flip flip = {
		.crtc_id = crtc, .fb_id = fb[i],
		.flags = DRM_MODE_PAGE_FLIP_EVENT,
	};
	char event[256];
	int ret;

	ret = v4l2_ioctl(drm, DRM_IOCTL_MODE_PAGE_FLIP, &flip);
	if (ret)
		return ret;

	return read(drm, event, sizeof(event)) > 0 ? 0 : -errno;
}

/* Tells the display that the content of the buffer is new. */
static int flush(int i)
{
	struct drm_mode_fb_dirty_cmd dirty = { .fb_id = fb[i] };

	return v4l2_ioctl(drm, DRM_IOCTL_MODE_DIRTYFB, &dirty);
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
	int dmabuf[BUFFERS], attachments = 0, shown = -1, cpu_only, i;
	unsigned int frames, wanted;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 2;
	wanted = atoi(argv[1]);

	drm = drm_open("virtio_gpu");
	CHECK(drm);
	CHECK(find_screen());
	for (i = 0; i < BUFFERS; i++)
		CHECK(make_buffer(i, &dmabuf[i]));

	q.fd = vivid_open("vivid-004-vid-cap");
	CHECK(q.fd);
	CHECK(vivid_set_input(q.fd, "Webcam"));
	CHECK(vivid_set_format(q.fd, q.type, WIDTH, HEIGHT));
	CHECK(vivid_set_rate(q.fd, 60));
	CHECK(vivid_alloc_dmabuf(&q, BUFFERS, dmabuf, 4 * WIDTH * HEIGHT));
	for (i = 0; i < BUFFERS; i++)
		CHECK(vivid_qbuf(&q, i));
	CHECK(vivid_streamon(&q));

	for (frames = 0; frames < wanted; frames++) {
		i = vivid_dqbuf(&q);
		CHECK(i);
		if (shown < 0)
			CHECK(set_screen(i));
		else
			CHECK(flip(i));
		CHECK(flush(i));
		/* what is on the screen is not given back to the camera */
		if (shown >= 0)
			CHECK(vivid_qbuf(&q, shown));
		shown = i;
	}

	for (i = 0; i < BUFFERS; i++)
		attachments += dmabuf_attachments(dmabuf[i], &cpu_only);
	printf("show %u frames, %d buffers, %d attachments\n", frames, BUFFERS,
	       attachments);

	CHECK(vivid_streamoff(&q));
	CHECK(save(argv[2], q.mem[shown]));
	printf("READY\n");
	pause();

	return 0;
}
