/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A USB camera that a process plays, on raw-gadget and dummy_hcd. It has bulk
 * transfers, as dummy_hcd knows no others, and sends a frame only when the test
 * asks for one: so none is lost, unless the driver loses it.
 *
 * Each frame has a number, and all of it follows from that. YUYV is noise, RGB
 * has bars to look at, each line brighter than the one before. MJPEG is a grey
 * picture behind noise, in a comment whose length varies.
 */

#ifndef UVC_CAMERA_H
#define UVC_CAMERA_H

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/ch9.h>
#include <linux/usb/raw_gadget.h>
#include <linux/usb/video.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vivid.h"

#define CAMERA_NAME_SIZE	32

/* the first bulk endpoint of dummy_hcd for this direction */
#define CAMERA_ENDPOINT	(USB_DIR_IN | 1)

/* A payload is several URBs, and a large frame several payloads. */
#define CAMERA_PAYLOAD	65536
#define CAMERA_HEADER	12
#define CAMERA_INTERVAL	333333

enum camera_format {
	CAMERA_YUYV = 1, CAMERA_RGB, CAMERA_MJPEG, CAMERA_FORMATS = 3
};

static const struct {
	uint16_t width;
	uint16_t height;
} camera_sizes[] = { { 640, 480 }, { 320, 240 }, { 160, 120 } };

#define CAMERA_SIZES	3

#define CAMERA_MAX_FRAME	(4 * 640 * 480)

/* What the test asks for, a byte each. Only the first one is a good frame. */
enum camera_command {
	CAMERA_FRAME,
	CAMERA_ERROR,	/* with the error bit */
	CAMERA_SHORT,	/* the second half is missing */
	CAMERA_LONG,	/* more than a frame of this size has */
	CAMERA_HALF,	/* the same as short, and its end is not told */
	CAMERA_STALL,	/* no frame: the endpoint halts */
};

/* What the camera and the test both see */
struct camera_shared {
	uint32_t number;	/* of the next frame */
	uint32_t done;		/* what was asked for, and the host has it */
	uint32_t restart;	/* whatever is being sent is given up */
	pid_t sender;		/* the thread that sends */
};

struct camera {
	pid_t pid;
	int commands;
	struct camera_shared *shared;
};

static inline size_t camera_max_frame(enum camera_format format,
				      unsigned int size)
{
	return (format == CAMERA_RGB ? 4 : 2) * camera_sizes[size].width *
	       camera_sizes[size].height;
}

/* One of its own, for a camera before this one may be on its way out. */
static inline void camera_name(pid_t pid, char *name)
{
	snprintf(name, CAMERA_NAME_SIZE, "kselftest camera %d", pid);
}

static inline size_t camera_append(uint8_t *mem, size_t length,
				   const void *more, size_t size)
{
	memcpy(mem + length, more, size);

	return length + size;
}

static inline size_t camera_fill_bars(uint32_t *mem, unsigned int size,
				      uint32_t number)
{
	unsigned int width = camera_sizes[size].width, x, y;
	uint32_t color, level;

	for (y = 0; y < camera_sizes[size].height; y++) {
		level = 56 + (y + 5 * number) % 200;
		for (x = 0; x < width; x++) {
			color = 7 - 7 * x / width;
			*mem++ = (color & 4 ? level << 16 : 0) |
				 (color & 2 ? level << 8 : 0) |
				 (color & 1 ? level : 0);
		}
	}

	return camera_max_frame(CAMERA_RGB, size);
}

/* Fills @mem with the frame of this number and returns how long it is. */
static inline size_t camera_fill(uint8_t *mem, enum camera_format format,
				 unsigned int size, uint32_t number)
{
	uint8_t width = camera_sizes[size].width / 8;
	uint8_t height = camera_sizes[size].height / 8;
	/* one code of one bit for each table: 0, no difference, no more */
	const uint8_t start[] = { 0xff, 0xd8, 0xff, 0xfe };
	const uint8_t quant[] = { 0xff, 0xdb, 0, 67, 0 };
	const uint8_t picture[] = {
		0xff, 0xc0, 0, 11, 8, height >> 5, height << 3, width >> 5,
		width << 3, 1, 1, 0x11, 0
	};
	uint8_t huffman[2 + 20] = { 0xff, 0xc4, 0, 20, 0, 1 };
	const uint8_t scan[] = { 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0 };
	const uint8_t end[] = { 0xff, 0xd9 };
	size_t length = 0, comment = 1024 * (1 + number % 8);
	uint8_t comment_length[2];
	uint32_t noise[2048];

	if (format == CAMERA_YUYV) {
		length = camera_max_frame(format, size);
		fill_noise((uint32_t *)mem, length, number);
		return length;
	}
	if (format == CAMERA_RGB)
		return camera_fill_bars((uint32_t *)mem, size, number);

	comment_length[0] = (comment + 2) >> 8;
	comment_length[1] = comment + 2;
	fill_noise(noise, comment, number);
	length = camera_append(mem, length, start, sizeof(start));
	length = camera_append(mem, length, comment_length, 2);
	length = camera_append(mem, length, noise, comment);
	length = camera_append(mem, length, quant, sizeof(quant));
	memset(mem + length, 1, 64);
	length += 64;
	length = camera_append(mem, length, picture, sizeof(picture));
	length = camera_append(mem, length, huffman, sizeof(huffman));
	huffman[4] = 0x10;
	length = camera_append(mem, length, huffman, sizeof(huffman));
	length = camera_append(mem, length, scan, sizeof(scan));
	/* two bits for each block */
	memset(mem + length, 0, width * height / 4);
	length += width * height / 4;

	return camera_append(mem, length, end, sizeof(end));
}

static inline size_t camera_length(enum camera_format format, unsigned int size,
				   uint32_t number)
{
	static __thread uint8_t frame[CAMERA_MAX_FRAME];

	return camera_fill(frame, format, size, number);
}

/* All below, up to camera_plug(), runs in the process of the camera. */

DECLARE_UVC_HEADER_DESCRIPTOR(1);
DECLARE_UVC_INPUT_HEADER_DESCRIPTOR(1, 3);
DECLARE_UVC_FRAME_UNCOMPRESSED(1);
DECLARE_UVC_FRAME_MJPEG(1);

/* all that these consist of is packed */
struct camera_descriptors {
	struct usb_config_descriptor config;
	struct usb_interface_assoc_descriptor function;
	struct usb_interface_descriptor control;
	struct camera_control {
		struct UVC_HEADER_DESCRIPTOR(1) header;
		struct uvc_camera_terminal_descriptor input;
		struct uvc_output_terminal_descriptor output;
	} controls;
	struct usb_interface_descriptor streaming;
	struct camera_streaming {
		struct UVC_INPUT_HEADER_DESCRIPTOR(1, 3) header;
		struct uvc_format_uncompressed yuyv;
		struct UVC_FRAME_UNCOMPRESSED(1) yuyv_frame[CAMERA_SIZES];
		struct uvc_format_uncompressed rgb;
		struct UVC_FRAME_UNCOMPRESSED(1) rgb_frame[CAMERA_SIZES];
		struct uvc_format_mjpeg mjpeg;
		struct UVC_FRAME_MJPEG(1) mjpeg_frame[CAMERA_SIZES];
	} formats;
	/* the last two bytes are for audio only */
	struct usb_endpoint_descriptor endpoint;
};

#define CAMERA_DESCRIPTORS (offsetof(struct camera_descriptors, endpoint) + \
			    USB_DT_ENDPOINT_SIZE)

static inline void camera_describe(struct camera_descriptors *d)
{
	struct camera_streaming *formats = &d->formats;
	unsigned int i;

	*d = (struct camera_descriptors) {
		.config = {
			.bLength = USB_DT_CONFIG_SIZE,
			.bDescriptorType = USB_DT_CONFIG,
			.wTotalLength = htole16(CAMERA_DESCRIPTORS),
			.bNumInterfaces = 2,
			.bConfigurationValue = 1,
			.bmAttributes = USB_CONFIG_ATT_ONE,
			.bMaxPower = 50,
		},
		.function = {
			.bLength = sizeof(d->function),
			.bDescriptorType = USB_DT_INTERFACE_ASSOCIATION,
			.bInterfaceCount = 2,
			.bFunctionClass = USB_CLASS_VIDEO,
			.bFunctionSubClass = UVC_SC_VIDEO_INTERFACE_COLLECTION,
		},
		.control = {
			.bLength = USB_DT_INTERFACE_SIZE,
			.bDescriptorType = USB_DT_INTERFACE,
			.bInterfaceClass = USB_CLASS_VIDEO,
			.bInterfaceSubClass = UVC_SC_VIDEOCONTROL,
		},
		.controls = {
			.header = {
				.bLength = UVC_DT_HEADER_SIZE(1),
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType = UVC_VC_HEADER,
				.bcdUVC = htole16(0x0110),
				.wTotalLength = htole16(sizeof(d->controls)),
				.dwClockFrequency = htole32(48000000),
				.bInCollection = 1,
				.baInterfaceNr = { 1 },
			},
			.input = {
				.bLength = UVC_DT_CAMERA_TERMINAL_SIZE(3),
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType = UVC_VC_INPUT_TERMINAL,
				.bTerminalID = 1,
				.wTerminalType = htole16(UVC_ITT_CAMERA),
				.bControlSize = 3,
			},
			.output = {
				.bLength = UVC_DT_OUTPUT_TERMINAL_SIZE,
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType = UVC_VC_OUTPUT_TERMINAL,
				.bTerminalID = 2,
				.wTerminalType = htole16(UVC_TT_STREAMING),
				.bSourceID = 1,
			},
		},
		.streaming = {
			.bLength = USB_DT_INTERFACE_SIZE,
			.bDescriptorType = USB_DT_INTERFACE,
			.bInterfaceNumber = 1,
			.bNumEndpoints = 1,
			.bInterfaceClass = USB_CLASS_VIDEO,
			.bInterfaceSubClass = UVC_SC_VIDEOSTREAMING,
		},
		.formats = {
			.header = {
				.bLength = UVC_DT_INPUT_HEADER_SIZE(1, 3),
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType = UVC_VS_INPUT_HEADER,
				.bNumFormats = CAMERA_FORMATS,
				.wTotalLength = htole16(sizeof(d->formats)),
				.bEndpointAddress = CAMERA_ENDPOINT,
				.bTerminalLink = 2,
				.bControlSize = 1,
			},
			.yuyv = {
				.bLength = UVC_DT_FORMAT_UNCOMPRESSED_SIZE,
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType =
					UVC_VS_FORMAT_UNCOMPRESSED,
				.bFormatIndex = CAMERA_YUYV,
				.bNumFrameDescriptors = CAMERA_SIZES,
				.guidFormat = {
					'Y', 'U', 'Y', '2', 0, 0, 0x10, 0,
					0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71
				},
				.bBitsPerPixel = 16,
				.bDefaultFrameIndex = 1,
			},
			.rgb = {
				.bLength = UVC_DT_FORMAT_UNCOMPRESSED_SIZE,
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType =
					UVC_VS_FORMAT_UNCOMPRESSED,
				.bFormatIndex = CAMERA_RGB,
				.bNumFrameDescriptors = CAMERA_SIZES,
				/* of a DirectShow video with 32 bits */
				.guidFormat = {
					0x7e, 0xeb, 0x36, 0xe4, 0x4f, 0x52,
					0xce, 0x11, 0x9f, 0x53, 0, 0x20,
					0xaf, 0x0b, 0xa7, 0x70
				},
				.bBitsPerPixel = 32,
				.bDefaultFrameIndex = 1,
			},
			.mjpeg = {
				.bLength = UVC_DT_FORMAT_MJPEG_SIZE,
				.bDescriptorType = USB_DT_CS_INTERFACE,
				.bDescriptorSubType = UVC_VS_FORMAT_MJPEG,
				.bFormatIndex = CAMERA_MJPEG,
				.bNumFrameDescriptors = CAMERA_SIZES,
				.bDefaultFrameIndex = 1,
			},
		},
		.endpoint = {
			.bLength = USB_DT_ENDPOINT_SIZE,
			.bDescriptorType = USB_DT_ENDPOINT,
			.bEndpointAddress = CAMERA_ENDPOINT,
			.bmAttributes = USB_ENDPOINT_XFER_BULK,
			.wMaxPacketSize = htole16(512),
		},
	};

	for (i = 0; i < CAMERA_SIZES; i++) {
		formats->yuyv_frame[i] = (struct UVC_FRAME_UNCOMPRESSED(1)) {
			.bLength = UVC_DT_FRAME_UNCOMPRESSED_SIZE(1),
			.bDescriptorType = USB_DT_CS_INTERFACE,
			.bDescriptorSubType = UVC_VS_FRAME_UNCOMPRESSED,
			.bFrameIndex = i + 1,
			.wWidth = htole16(camera_sizes[i].width),
			.wHeight = htole16(camera_sizes[i].height),
			.dwMaxVideoFrameBufferSize =
				htole32(camera_max_frame(CAMERA_YUYV, i)),
			.dwDefaultFrameInterval = htole32(CAMERA_INTERVAL),
			.bFrameIntervalType = 1,
			.dwFrameInterval = { htole32(CAMERA_INTERVAL) },
		};
		formats->rgb_frame[i] = formats->yuyv_frame[i];
		formats->rgb_frame[i].dwMaxVideoFrameBufferSize =
			htole32(camera_max_frame(CAMERA_RGB, i));
		/* the same but for its name */
		memcpy(&formats->mjpeg_frame[i], &formats->yuyv_frame[i],
		       sizeof(formats->mjpeg_frame[i]));
		formats->mjpeg_frame[i].bDescriptorSubType =
			UVC_VS_FRAME_MJPEG;
	}
}

static const struct usb_device_descriptor camera_device = {
	.bLength = USB_DT_DEVICE_SIZE,
	.bDescriptorType = USB_DT_DEVICE,
	.bcdUSB = 0x0200,
	.bDeviceClass = USB_CLASS_MISC,
	.bDeviceSubClass = 2,
	.bDeviceProtocol = 1,
	.bMaxPacketSize0 = 64,
	.idVendor = 0x1d6b,
	.idProduct = 0x0102,
	.iProduct = 1,
	.bNumConfigurations = 1,
};

struct camera_io {
	struct usb_raw_ep_io io;
	uint8_t data[CAMERA_PAYLOAD];
};

/* The process of the camera: one thread answers requests, one sends frames. */
struct camera_gadget {
	int fd;
	int commands;
	int endpoint;
	pthread_t sender;
	struct camera_shared *shared;
	struct camera_descriptors descriptors;
	struct uvc_streaming_control probe;
	struct uvc_streaming_control commit;
	struct camera_io control;
	struct camera_io payload;
	uint8_t frame[CAMERA_MAX_FRAME + CAMERA_PAYLOAD];
	bool committing;
	bool toggle;
	uint32_t clock;
};

/* Returns false if the transfer has been given up. */
static inline bool camera_send_payload(struct camera_gadget *c, size_t offset,
				       size_t length, uint8_t flags)
{
	struct camera_io *p = &c->payload;
	uint32_t clock = htole32(c->clock++);
	uint16_t sof = htole16(c->clock & 0x7ff);

	p->data[0] = CAMERA_HEADER;
	p->data[1] = UVC_STREAM_EOH | UVC_STREAM_PTS | UVC_STREAM_SCR | flags;
	memcpy(p->data + 2, &clock, 4);
	memcpy(p->data + 6, &clock, 4);
	memcpy(p->data + 10, &sof, 2);
	memcpy(p->data + CAMERA_HEADER, c->frame + offset, length);
	p->io.ep = c->endpoint;
	p->io.length = CAMERA_HEADER + length;
	/* what is not full ends with a packet that is not */
	p->io.flags = p->io.length < CAMERA_PAYLOAD ? USB_RAW_IO_FLAGS_ZERO : 0;

	return ioctl(c->fd, USB_RAW_IOCTL_EP_WRITE, p) >= 0;
}

static inline void camera_send_frame(struct camera_gadget *c,
				     enum camera_command command)
{
	size_t most = CAMERA_PAYLOAD - CAMERA_HEADER, offset = 0, length, part;
	unsigned int size;
	uint32_t number;
	uint8_t flags;

	/* the host knows of the commit earlier than this end does */
	while (__atomic_load_n(&c->committing, __ATOMIC_ACQUIRE))
		usleep(100);
	size = c->commit.bFrameIndex - 1;
	number = __atomic_fetch_add(&c->shared->number, 1, __ATOMIC_SEQ_CST);
	length = camera_fill(c->frame, c->commit.bFormatIndex, size, number);
	if (command == CAMERA_SHORT || command == CAMERA_HALF)
		length /= 2;
	if (command == CAMERA_LONG)
		length = camera_max_frame(c->commit.bFormatIndex, size) + 512;

	c->toggle = !c->toggle;
	do {
		part = length - offset < most ? length - offset : most;
		flags = c->toggle ? UVC_STREAM_FID : 0;
		if (command == CAMERA_ERROR)
			flags |= UVC_STREAM_ERR;
		if (offset + part == length && command != CAMERA_HALF)
			flags |= UVC_STREAM_EOF;
		if (!camera_send_payload(c, offset, part, flags))
			break;
		offset += part;
	} while (offset < length);
}

static inline void *camera_send(void *arg)
{
	struct camera_gadget *c = arg;
	uint8_t command, rest[256];

	__atomic_store_n(&c->shared->sender, gettid(), __ATOMIC_RELEASE);
	for (;;) {
		if (__atomic_load_n(&c->shared->restart, __ATOMIC_ACQUIRE)) {
			/* what was asked for before the stream is not for it */
			while (read(c->commands, rest, sizeof(rest)) > 0)
				;
			__atomic_store_n(&c->shared->restart, 0,
					 __ATOMIC_RELEASE);
		}
		if (read(c->commands, &command, 1) != 1) {
			struct pollfd pollfd = {
				.fd = c->commands, .events = POLLIN,
			};

			poll(&pollfd, 1, -1);
			continue;
		}
		if (command == CAMERA_STALL)
			ioctl(c->fd, USB_RAW_IOCTL_EP_SET_HALT, c->endpoint);
		else
			camera_send_frame(c, command);
		__atomic_fetch_add(&c->shared->done, 1, __ATOMIC_SEQ_CST);
	}

	return NULL;
}

static inline void camera_interrupt(int number)
{
}

/*
 * A driver that stops in the middle of a frame does not tell. So a commit ends
 * what is left. A signal may come too early to interrupt: it is sent again.
 */
static inline void camera_restart(struct camera_gadget *c)
{
	__atomic_store_n(&c->shared->restart, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&c->shared->restart, __ATOMIC_ACQUIRE)) {
		pthread_kill(c->sender, SIGUSR1);
		usleep(100);
	}
}

static inline int camera_configure(struct camera_gadget *c)
{
	struct usb_endpoint_descriptor endpoint = c->descriptors.endpoint;

	if (c->endpoint < 0) {
		c->endpoint = ioctl(c->fd, USB_RAW_IOCTL_EP_ENABLE, &endpoint);
		if (c->endpoint < 0 ||
		    pthread_create(&c->sender, NULL, camera_send, c))
			return -1;
	}
	ioctl(c->fd, USB_RAW_IOCTL_VBUS_DRAW, c->descriptors.config.bMaxPower);

	return ioctl(c->fd, USB_RAW_IOCTL_CONFIGURE, 0);
}

/* Takes what is asked for, as far as there is something like that. */
static inline void camera_negotiate(struct uvc_streaming_control *probe)
{
	if (!probe->bFormatIndex || probe->bFormatIndex > CAMERA_FORMATS)
		probe->bFormatIndex = CAMERA_YUYV;
	if (!probe->bFrameIndex || probe->bFrameIndex > CAMERA_SIZES)
		probe->bFrameIndex = 1;
	probe->bmHint = htole16(1);
	probe->dwFrameInterval = htole32(CAMERA_INTERVAL);
	probe->dwMaxVideoFrameSize =
		htole32(camera_max_frame(probe->bFormatIndex,
					 probe->bFrameIndex - 1));
	probe->dwMaxPayloadTransferSize = htole32(CAMERA_PAYLOAD);
	probe->dwClockFrequency = htole32(48000000);
	/* the toggle bit and the end of a frame are told */
	probe->bmFramingInfo = 3;
}

/* Returns how much of c->control.data is the answer, or -1. */
static inline int camera_get_descriptor(struct camera_gadget *c, uint16_t which)
{
	uint8_t *data = c->control.data;
	char name[CAMERA_NAME_SIZE];
	unsigned int i;

	switch (which) {
	case USB_DT_DEVICE << 8:
		memcpy(data, &camera_device, sizeof(camera_device));
		return sizeof(camera_device);
	case USB_DT_CONFIG << 8:
		memcpy(data, &c->descriptors, CAMERA_DESCRIPTORS);
		return CAMERA_DESCRIPTORS;
	case USB_DT_STRING << 8:
		memcpy(data, (uint8_t []){ 4, USB_DT_STRING, 0x09, 0x04 }, 4);
		return 4;
	case USB_DT_STRING << 8 | 1:
		camera_name(getpid(), name);
		data[0] = 2 + 2 * strlen(name);
		data[1] = USB_DT_STRING;
		for (i = 0; name[i]; i++) {
			data[2 + 2 * i] = name[i];
			data[3 + 2 * i] = 0;
		}
		return data[0];
	}

	return -1;
}

/* The same for the probe and commit controls of the streaming interface */
static inline int camera_class(struct camera_gadget *c,
			       const struct usb_ctrlrequest *request)
{
	unsigned int selector = le16toh(request->wValue) >> 8;
	bool commit = selector == UVC_VS_COMMIT_CONTROL;
	struct uvc_streaming_control *which = commit ? &c->commit : &c->probe;

	if (le16toh(request->wIndex) != 1 ||
	    (!commit && selector != UVC_VS_PROBE_CONTROL))
		return -1;

	switch (request->bRequest) {
	case UVC_GET_CUR:
	case UVC_GET_MIN:
	case UVC_GET_MAX:
	case UVC_GET_DEF:
		memcpy(c->control.data, which, sizeof(*which));
		return sizeof(*which);
	case UVC_SET_CUR:
		return 0;
	}

	return -1;
}

static inline void camera_answer(struct camera_gadget *c,
				 const struct usb_ctrlrequest *request)
{
	bool standard, set, commit;
	int length = -1;

	standard = (request->bRequestType & USB_TYPE_MASK) == USB_TYPE_STANDARD;
	set = !standard && request->bRequest == UVC_SET_CUR;
	commit = le16toh(request->wValue) >> 8 == UVC_VS_COMMIT_CONTROL;

	if (!standard)
		length = camera_class(c, request);
	else if (request->bRequest == USB_REQ_GET_DESCRIPTOR)
		length = camera_get_descriptor(c, le16toh(request->wValue));
	else if (request->bRequest == USB_REQ_SET_CONFIGURATION)
		length = camera_configure(c);
	else if (request->bRequest == USB_REQ_SET_INTERFACE)
		length = 0;

	if (length < 0) {
		ioctl(c->fd, USB_RAW_IOCTL_EP0_STALL, 0);
		return;
	}

	/* the host streams as soon as it has been acknowledged */
	if (set && commit) {
		camera_restart(c);
		__atomic_store_n(&c->committing, true, __ATOMIC_RELEASE);
	}
	c->control.io.length = le16toh(request->wLength);
	if (request->bRequestType & USB_DIR_IN) {
		if (length < c->control.io.length)
			c->control.io.length = length;
		ioctl(c->fd, USB_RAW_IOCTL_EP0_WRITE, &c->control);
		return;
	}

	length = ioctl(c->fd, USB_RAW_IOCTL_EP0_READ, &c->control);
	if (set && length == sizeof(c->probe)) {
		memcpy(&c->probe, c->control.data, sizeof(c->probe));
		camera_negotiate(&c->probe);
		if (commit)
			c->commit = c->probe;
	}
	__atomic_store_n(&c->committing, false, __ATOMIC_RELEASE);
}

static inline void camera_run(struct camera_gadget *c, pid_t test)
{
	struct sigaction action = { .sa_handler = camera_interrupt };
	struct {
		struct usb_raw_event event;
		struct usb_ctrlrequest request;
	} event;

	/* it goes with the test, if that has not gone already */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != test)
		_exit(1);
	sigaction(SIGUSR1, &action, NULL);
	camera_describe(&c->descriptors);
	camera_negotiate(&c->probe);
	c->commit = c->probe;
	c->endpoint = -1;
	for (;;) {
		event.event.length = sizeof(event.request);
		if (ioctl(c->fd, USB_RAW_IOCTL_EVENT_FETCH, &event))
			break;
		if (event.event.type == USB_RAW_EVENT_CONTROL)
			camera_answer(c, &event.request);
	}
	_exit(1);
}

/* in milliseconds, and far more than it takes */
#define CAMERA_PATIENCE	10000

/*
 * Plugs the camera in. -ENODEV: there is nothing to plug it into. What is open
 * by now stays open in the process of the camera.
 */
static inline int camera_plug(struct camera *camera)
{
	static struct camera_gadget gadget;
	struct usb_raw_init init = {
		.speed = USB_SPEED_HIGH,
		.driver_name = "dummy_udc",
		.device_name = "dummy_udc.0",
	};
	int fds[2], ret, tries = 0;
	pid_t test = getpid();

	if (access("/sys/class/udc/dummy_udc.0", F_OK) ||
	    access("/sys/module/uvcvideo", F_OK))
		return -ENODEV;

	/* the process of a camera before this one may not be gone yet */
	do {
		gadget.fd = open("/dev/raw-gadget", O_RDWR | O_CLOEXEC);
		if (gadget.fd < 0)
			return -ENODEV;
		ret = 0;
		if (ioctl(gadget.fd, USB_RAW_IOCTL_INIT, &init) ||
		    ioctl(gadget.fd, USB_RAW_IOCTL_RUN, 0)) {
			ret = -errno;
			close(gadget.fd);
			usleep(1000);
		}
	} while (ret == -EBUSY && ++tries < CAMERA_PATIENCE);
	if (ret)
		return ret;

	camera->shared = mmap(NULL, sizeof(*camera->shared),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (camera->shared == MAP_FAILED)
		return -errno;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	gadget.shared = camera->shared;
	gadget.commands = fds[0];
	camera->commands = fds[1];
	camera->pid = fork();
	if (!camera->pid) {
		close(fds[1]);
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		camera_run(&gadget, test);
	}
	/* from now on the process of the camera is the only one that has it */
	close(fds[0]);
	close(gadget.fd);

	return camera->pid < 0 ? -errno : 0;
}

/* The driver gets to know sooner or later: whoever waits for it, waits on. */
static inline void camera_unplug(struct camera *camera)
{
	if (camera->pid <= 0)
		return;
	kill(camera->pid, SIGKILL);
	waitpid(camera->pid, NULL, 0);
	munmap(camera->shared, sizeof(*camera->shared));
	close(camera->commands);
	camera->pid = 0;
}

/* A frame is asked for in the stream that has been started. */
static inline int camera_ask(struct camera *camera, enum camera_command command,
			     unsigned int count)
{
	uint8_t byte = command;

	while (count--)
		if (write(camera->commands, &byte, 1) != 1)
			return -errno;

	return 0;
}

/* The camera is not to wait for those who are less urgent. */
static inline int camera_set_urgent(struct camera *camera, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	pid_t sender = __atomic_load_n(&camera->shared->sender,
				       __ATOMIC_ACQUIRE);

	return sched_setscheduler(sender, SCHED_FIFO, &param) ? -errno : 0;
}

static inline uint32_t camera_number(struct camera *camera)
{
	return __atomic_load_n(&camera->shared->number, __ATOMIC_SEQ_CST);
}

/* How many things that it was asked for have reached the host */
static inline uint32_t camera_done(struct camera *camera)
{
	return __atomic_load_n(&camera->shared->done, __ATOMIC_SEQ_CST);
}

/* Opens the node if it is one of the camera, and has the capability. */
static inline int camera_open_node(const char *camera, unsigned int number,
				   uint32_t capability)
{
	struct v4l2_capability cap;
	char path[64], name[64];
	bool same = false;
	FILE *file;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/video4linux/video%u/name",
		 number);
	file = fopen(path, "r");
	if (!file)
		return -ENODEV;
	if (fgets(name, sizeof(name), file)) {
		name[strcspn(name, "\n")] = '\0';
		same = !strcmp(name, camera);
	}
	fclose(file);
	if (!same)
		return -ENODEV;

	snprintf(path, sizeof(path), "/dev/video%u", number);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!v4l2_ioctl(fd, VIDIOC_QUERYCAP, &cap) &&
	    cap.device_caps & capability)
		return fd;
	close(fd);

	return -ENODEV;
}

/* Opens the node of the camera with the capability, as soon as it is there. */
static inline int camera_open(struct camera *camera, uint32_t capability)
{
	char name[CAMERA_NAME_SIZE];
	int i, fd, tries;

	camera_name(camera->pid, name);
	for (tries = 0; tries < CAMERA_PATIENCE; tries++) {
		for (i = 0; i < 256; i++) {
			fd = camera_open_node(name, i, capability);
			if (fd >= 0)
				return fd;
		}
		usleep(1000);
	}

	return -ETIMEDOUT;
}

static inline int camera_set_format(struct vivid_queue *q,
				    enum camera_format format,
				    unsigned int size)
{
	static const uint32_t pixelformats[] = {
		[CAMERA_YUYV] = V4L2_PIX_FMT_YUYV,
		[CAMERA_RGB] = V4L2_PIX_FMT_XBGR32,
		[CAMERA_MJPEG] = V4L2_PIX_FMT_MJPEG,
	};

	q->size = camera_max_frame(format, size);

	return vivid_set_pix(q, pixelformats[format], camera_sizes[size].width,
			     camera_sizes[size].height);
}

#endif /* UVC_CAMERA_H */
