/* SPDX-License-Identifier: GPL-2.0 */
/* A screen of a DRM driver that shows dma-bufs */

#ifndef DRM_SCREEN_H
#define DRM_SCREEN_H

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <drm/drm.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_mode.h>

#include "vivid.h"

struct screen {
	int drm;
	uint32_t crtc;
	uint32_t connector;
	struct drm_mode_modeinfo mode;
};

/* Finds the first screen of @s->drm and its mode of this size. */
static inline int screen_find(struct screen *s, unsigned int width,
			      unsigned int height)
{
	uint32_t crtcs[8], connectors[8];
	struct drm_mode_modeinfo modes[64];
	struct drm_mode_card_res res = {
		.crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 8,
		.connector_id_ptr = (uintptr_t)connectors,
		.count_connectors = 8,
	};
	struct drm_mode_get_connector connector = { };
	unsigned int i;
	int ret;

	ret = v4l2_ioctl(s->drm, DRM_IOCTL_MODE_GETRESOURCES, &res);
	if (ret)
		return ret;
	if (!res.count_crtcs || !res.count_connectors)
		return -ENOENT;
	s->crtc = crtcs[0];
	s->connector = connectors[0];

	/* without room for a mode, this asks the display */
	connector.connector_id = s->connector;
	ret = v4l2_ioctl(s->drm, DRM_IOCTL_MODE_GETCONNECTOR, &connector);
	if (ret)
		return ret;
	if (connector.count_modes > 64)
		return -E2BIG;
	connector.modes_ptr = (uintptr_t)modes;
	connector.count_props = 0;
	connector.count_encoders = 0;
	ret = v4l2_ioctl(s->drm, DRM_IOCTL_MODE_GETCONNECTOR, &connector);
	if (ret)
		return ret;

	for (i = 0; i < connector.count_modes; i++)
		if (modes[i].hdisplay == width && modes[i].vdisplay == height) {
			s->mode = modes[i];
			return 0;
		}

	return -ENOENT;
}

static inline int screen_import(struct screen *s, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle prime = { .fd = dmabuf };
	int ret;

	ret = v4l2_ioctl(s->drm, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
	*handle = prime.handle;

	return ret;
}

/* Makes a frame buffer, as large as the screen. */
static inline int screen_add(struct screen *s, uint32_t handle, uint32_t *fb)
{
	struct drm_mode_fb_cmd2 cmd = {
		.width = s->mode.hdisplay, .height = s->mode.vdisplay,
		.pixel_format = DRM_FORMAT_XRGB8888,
		.handles = { handle }, .pitches = { 4 * s->mode.hdisplay },
	};
	int ret;

	ret = v4l2_ioctl(s->drm, DRM_IOCTL_MODE_ADDFB2, &cmd);
	*fb = cmd.fb_id;

	return ret;
}

/* Shows a frame buffer, or turns the screen off for 0. */
static inline int screen_show(struct screen *s, uint32_t fb)
{
	struct drm_mode_crtc crtc = {
		.crtc_id = s->crtc,
		.fb_id = fb,
		.set_connectors_ptr = (uintptr_t)&s->connector,
		.count_connectors = !!fb,
		.mode = s->mode,
		.mode_valid = !!fb,
	};

	return v4l2_ioctl(s->drm, DRM_IOCTL_MODE_SETCRTC, &crtc);
}

/* Tells the driver that the content of a frame buffer has changed. */
static inline int screen_flush(struct screen *s, uint32_t fb)
{
	struct drm_mode_fb_dirty_cmd dirty = { .fb_id = fb };

	return v4l2_ioctl(s->drm, DRM_IOCTL_MODE_DIRTYFB, &dirty);
}

#endif /* DRM_SCREEN_H */
