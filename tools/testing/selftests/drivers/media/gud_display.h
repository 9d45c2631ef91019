/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A USB display that a thread emulates, for the driver gud. It has one mode and
 * one format, and keeps what it is sent.
 */

#ifndef GUD_DISPLAY_H
#define GUD_DISPLAY_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <asm/byteorder.h>
#include <linux/types.h>

#include "usb_gadget.h"

/* the protocol, which is the same for all kernels */
#ifndef __packed
#define __packed
#endif
#ifndef BIT
#define BIT(n)		(1U << (n))
#endif
#pragma pack(push, 1)
#include "../../../../../include/drm/gud.h"
#pragma pack(pop)

/* what display_plug() looks for */
#define DISPLAY_NEEDS		"gud, dummy_hcd and raw-gadget"

#define DISPLAY_WIDTH		320
#define DISPLAY_HEIGHT		180
#define DISPLAY_PIXELS		(DISPLAY_WIDTH * DISPLAY_HEIGHT)
#define DISPLAY_SIZE		(4 * DISPLAY_PIXELS)

struct display {
	int fd;
	int endpoint;
	bool stop;
	pthread_t thread;
	char name[GADGET_NAME_SIZE];
	struct gadget_io io;
	uint8_t received[DISPLAY_SIZE];
	/* what is on the screen */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t screen[DISPLAY_PIXELS];
};

static const struct usb_device_descriptor display_device = {
	.bLength = USB_DT_DEVICE_SIZE,
	.bDescriptorType = USB_DT_DEVICE,
	.bcdUSB = __cpu_to_le16(0x0200),
	.bMaxPacketSize0 = 64,
	.idVendor = __cpu_to_le16(0x1d50),
	.idProduct = __cpu_to_le16(0x614d),
	.iProduct = 1,
	.bNumConfigurations = 1,
};

#define DISPLAY_CONFIG_SIZE	(USB_DT_CONFIG_SIZE + USB_DT_INTERFACE_SIZE + \
				 USB_DT_ENDPOINT_SIZE)

/* all members are packed */
static const struct display_config {
	struct usb_config_descriptor config;
	struct usb_interface_descriptor interface;
	/* the last two bytes are for audio only */
	struct usb_endpoint_descriptor endpoint;
} display_config = {
	.config = {
		.bLength = USB_DT_CONFIG_SIZE,
		.bDescriptorType = USB_DT_CONFIG,
		.wTotalLength = __cpu_to_le16(DISPLAY_CONFIG_SIZE),
		.bNumInterfaces = 1,
		.bConfigurationValue = 1,
		.bmAttributes = USB_CONFIG_ATT_ONE,
		.bMaxPower = 50,
	},
	.interface = {
		.bLength = USB_DT_INTERFACE_SIZE,
		.bDescriptorType = USB_DT_INTERFACE,
		.bNumEndpoints = 1,
		.bInterfaceClass = USB_CLASS_VENDOR_SPEC,
	},
	.endpoint = {
		.bLength = USB_DT_ENDPOINT_SIZE,
		.bDescriptorType = USB_DT_ENDPOINT,
		/* the first bulk endpoint of dummy_hcd for this direction */
		.bEndpointAddress = USB_DIR_OUT | 2,
		.bmAttributes = USB_ENDPOINT_XFER_BULK,
		.wMaxPacketSize = __cpu_to_le16(512),
	},
};

static const struct gud_display_descriptor_req display_descriptor = {
	.magic = __cpu_to_le32(GUD_DISPLAY_MAGIC),
	.version = 1,
	.min_width = __cpu_to_le32(DISPLAY_WIDTH),
	.max_width = __cpu_to_le32(DISPLAY_WIDTH),
	.min_height = __cpu_to_le32(DISPLAY_HEIGHT),
	.max_height = __cpu_to_le32(DISPLAY_HEIGHT),
};

static const struct gud_connector_descriptor_req display_connector = {
	.connector_type = GUD_CONNECTOR_TYPE_PANEL,
};

static const struct gud_display_mode_req display_mode = {
	.clock = __cpu_to_le32(4800),
	.hdisplay = __cpu_to_le16(DISPLAY_WIDTH),
	.hsync_start = __cpu_to_le16(DISPLAY_WIDTH + 20),
	.hsync_end = __cpu_to_le16(DISPLAY_WIDTH + 40),
	.htotal = __cpu_to_le16(DISPLAY_WIDTH + 80),
	.vdisplay = __cpu_to_le16(DISPLAY_HEIGHT),
	.vsync_start = __cpu_to_le16(DISPLAY_HEIGHT + 5),
	.vsync_end = __cpu_to_le16(DISPLAY_HEIGHT + 10),
	.vtotal = __cpu_to_le16(DISPLAY_HEIGHT + 20),
	.flags = __cpu_to_le32(GUD_DISPLAY_MODE_FLAG_PREFERRED),
};

static const uint8_t display_format = GUD_PIXEL_FORMAT_XRGB8888;
static const uint8_t display_status = GUD_CONNECTOR_STATUS_CONNECTED;
static const uint8_t display_ok = GUD_STATUS_OK;

#define DISPLAY_ANSWER(request, answer) \
	[request] = { &(answer), sizeof(answer) }

/*
 * All others are empty: there are no properties and no EDID, and the host may
 * set what it likes.
 */
static const struct {
	const void *data;
	size_t length;
} display_answers[256] = {
	DISPLAY_ANSWER(GUD_REQ_GET_STATUS, display_ok),
	DISPLAY_ANSWER(GUD_REQ_GET_DESCRIPTOR, display_descriptor),
	DISPLAY_ANSWER(GUD_REQ_GET_FORMATS, display_format),
	DISPLAY_ANSWER(GUD_REQ_GET_CONNECTORS, display_connector),
	DISPLAY_ANSWER(GUD_REQ_GET_CONNECTOR_STATUS, display_status),
	DISPLAY_ANSWER(GUD_REQ_GET_CONNECTOR_MODES, display_mode),
};

static inline int display_configure(struct display *d)
{
	struct usb_endpoint_descriptor endpoint = display_config.endpoint;

	if (d->endpoint < 0)
		d->endpoint = ioctl(d->fd, USB_RAW_IOCTL_EP_ENABLE, &endpoint);
	if (d->endpoint < 0)
		return -1;
	ioctl(d->fd, USB_RAW_IOCTL_VBUS_DRAW, display_config.config.bMaxPower);

	return ioctl(d->fd, USB_RAW_IOCTL_CONFIGURE, 0);
}

static inline int display_fill(struct display *d, const void *answer,
			       size_t length)
{
	if (length)
		memcpy(d->io.data, answer, length);

	return length;
}

/* Returns how much of d->io.data is the answer, or -1. */
static inline int display_request(struct display *d,
				  const struct usb_ctrlrequest *request)
{
	uint8_t which = request->bRequest;

	if ((request->bRequestType & USB_TYPE_MASK) == USB_TYPE_VENDOR)
		return display_fill(d, display_answers[which].data,
				    display_answers[which].length);
	if (which == USB_REQ_SET_CONFIGURATION)
		return display_configure(d);
	if (which != USB_REQ_GET_DESCRIPTOR)
		return -1;

	switch (le16toh(request->wValue)) {
	case USB_DT_DEVICE << 8:
		return display_fill(d, &display_device, USB_DT_DEVICE_SIZE);
	case USB_DT_CONFIG << 8:
		return display_fill(d, &display_config, DISPLAY_CONFIG_SIZE);
	case USB_DT_STRING << 8:
		return gadget_languages(d->io.data);
	case USB_DT_STRING << 8 | 1:
		return gadget_string(d->io.data, d->name);
	}

	return -1;
}

/* Puts the pixels of a rectangle, which come next, on the screen. */
static inline void display_receive(struct display *d,
				   const struct gud_set_buffer_req *rect)
{
	uint32_t x = le32toh(rect->x), y = le32toh(rect->y);
	uint32_t width = le32toh(rect->width), height = le32toh(rect->height);
	size_t length = le32toh(rect->length), offset;
	int part;

	if (width > DISPLAY_WIDTH || x > DISPLAY_WIDTH - width ||
	    height > DISPLAY_HEIGHT || y > DISPLAY_HEIGHT - height ||
	    length != 4 * width * height || rect->compression)
		return;
	for (offset = 0; offset < length; offset += part) {
		d->io.io.ep = d->endpoint;
		d->io.io.length = length - offset < GADGET_TRANSFER ?
				  length - offset : GADGET_TRANSFER;
		part = ioctl(d->fd, USB_RAW_IOCTL_EP_READ, &d->io);
		if (part <= 0)
			return;
		memcpy(d->received + offset, d->io.data, part);
	}

	pthread_mutex_lock(&d->lock);
	for (offset = 0; offset < length; offset += 4 * width)
		memcpy(d->screen + DISPLAY_WIDTH * y++ + x,
		       d->received + offset, 4 * width);
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

/* One thread is enough, as a rectangle's pixels follow the request with it. */
static inline void *display_run(void *arg)
{
	struct usb_ctrlrequest request;
	struct gud_set_buffer_req rect;
	struct display *d = arg;
	int length;

	while (!__atomic_load_n(&d->stop, __ATOMIC_ACQUIRE)) {
		if (!gadget_next(d->fd, &request))
			continue;
		length = display_request(d, &request);
		length = gadget_answer(d->fd, &request, &d->io, length);
		if (request.bRequestType == (USB_DIR_OUT | USB_TYPE_VENDOR |
					     USB_RECIP_INTERFACE) &&
		    request.bRequest == GUD_REQ_SET_BUFFER &&
		    length == sizeof(rect)) {
			memcpy(&rect, d->io.data, sizeof(rect));
			display_receive(d, &rect);
		}
	}

	return NULL;
}

static inline void display_interrupt(int number)
{
}

/* Returns -ENODEV if there is nothing to plug the display into. */
static inline int display_plug(struct display *d)
{
	struct sigaction action = { .sa_handler = display_interrupt };
	static unsigned int count;
	int ret;

	memset(d, 0, sizeof(*d));
	d->fd = -1;
	d->endpoint = -1;
	if (access("/sys/module/gud", F_OK))
		return -ENODEV;
	/* the name is unique, as the previous display may not be gone yet */
	snprintf(d->name, sizeof(d->name), "kselftest display %d.%u", getpid(),
		 count++);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	sigaction(SIGUSR1, &action, NULL);
	ret = gadget_wait(gadget_plug);
	if (ret < 0)
		return ret;
	d->fd = ret;
	ret = pthread_create(&d->thread, NULL, display_run, d);
	if (!ret)
		return 0;
	close(d->fd);
	d->fd = -1;

	return -ret;
}

/* The driver notices only later: callers may have to wait for that. */
static inline void display_unplug(struct display *d)
{
	if (d->fd < 0)
		return;
	__atomic_store_n(&d->stop, true, __ATOMIC_RELEASE);
	/* a signal may come too early to interrupt the thread, so repeat it */
	while (pthread_tryjoin_np(d->thread, NULL)) {
		pthread_kill(d->thread, SIGUSR1);
		usleep(100);
	}
	close(d->fd);
	d->fd = -1;
}

/* Opens the card if it is the display. */
static inline int display_open_card(struct display *d, unsigned int number)
{
	char path[64];
	int fd;

	/* the card's parent is the interface, whose parent is the USB device */
	snprintf(path, sizeof(path), "/sys/class/drm/card%u/device/../product",
		 number);
	if (!gadget_has_name(path, d->name))
		return -ENODEV;

	snprintf(path, sizeof(path), "/dev/dri/card%u", number);
	fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Opens the card of the display as soon as it is there. */
static inline int display_open(struct display *d)
{
	int i, fd, tries;

	for (tries = 0; tries < GADGET_PATIENCE; tries++) {
		for (i = 0; i < 64; i++) {
			fd = display_open_card(d, i);
			if (fd >= 0)
				return fd;
		}
		usleep(1000);
	}

	return -ETIMEDOUT;
}

/*
 * Waits until the screen shows @pixels, or for @seconds. Returns how many of
 * them are different then.
 */
static inline unsigned int display_differs(struct display *d,
					   const uint32_t *pixels, int seconds)
{
	unsigned int i, differ = 0;
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += seconds;
	pthread_mutex_lock(&d->lock);
	while (memcmp(d->screen, pixels, DISPLAY_SIZE) &&
	       !pthread_cond_timedwait(&d->changed, &d->lock, &end))
		;
	for (i = 0; i < DISPLAY_PIXELS; i++)
		differ += d->screen[i] != pixels[i];
	pthread_mutex_unlock(&d->lock);

	return differ;
}

#endif /* GUD_DISPLAY_H */
