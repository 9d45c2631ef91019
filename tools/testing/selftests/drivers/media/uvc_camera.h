/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A USB camera that a process emulates: with bulk transfers on raw-gadget and
 * dummy_hcd, or with isochronous transfers, which dummy_hcd does not support,
 * over USB/IP. It sends a frame only when the test asks for one, so no frame is
 * lost unless the driver loses it.
 *
 * Each frame has a number that determines its contents. YUYV is noise. RGB has
 * color bars, with each line brighter than the one before. MJPEG is a grey
 * picture, preceded by a comment of varying length that contains noise.
 */

#ifndef UVC_CAMERA_H
#define UVC_CAMERA_H

#include <asm/byteorder.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/usb/ch9.h>
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "usb_gadget.h"
#include "vivid.h"

/* what camera_plug() looks for */
#define CAMERA_NEEDS		"uvcvideo, dummy_hcd and raw-gadget, or vhci_hcd"

/* the first bulk endpoint of dummy_hcd for this direction */
#define CAMERA_ENDPOINT	(USB_DIR_IN | 1)

/* A payload is several URBs, and a large frame several payloads. */
#define CAMERA_PAYLOAD	GADGET_TRANSFER

/* The payload of an isochronous packet, and how many uvcvideo has in a URB */
#define CAMERA_PACKET	3072
#define CAMERA_PACKETS	32
#define CAMERA_URBS	8

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

/* Commands of the test, a byte each. Only the first one sends a good frame. */
enum camera_command {
	CAMERA_FRAME,
	CAMERA_ERROR,	/* with the error bit */
	CAMERA_SHORT,	/* the second half is missing */
	CAMERA_LONG,	/* more than a frame of this size has */
	CAMERA_HALF,	/* like short, and without the end of frame bit */
	CAMERA_STALL,	/* no frame: the endpoint halts */
};

/* What the camera and the test both see */
struct camera_shared {
	uint32_t number;	/* of the next frame */
	uint32_t done;		/* commands whose data has reached the host */
	uint32_t restart;	/* whatever is being sent is given up */
	int error;		/* why a frame could not be sent last */
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

/* The name is unique, as the previous camera may not be gone yet. */
static inline void camera_name(pid_t pid, char *name)
{
	snprintf(name, GADGET_NAME_SIZE, "kselftest camera %d", pid);
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
			*mem++ = htole32((color & 4 ? level << 16 : 0) |
					 (color & 2 ? level << 8 : 0) |
					 (color & 1 ? level : 0));
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
	/* each table has one code of one bit: 0, no difference, end of block */
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

/* all members are packed */
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
	/* only if the endpoint is isochronous: what it belongs to */
	struct usb_interface_descriptor alternate;
	/* the last two bytes are for audio only */
	struct usb_endpoint_descriptor endpoint;
};

static inline size_t camera_descriptors_length(bool isochronous)
{
	return offsetof(struct camera_descriptors, alternate) +
	       (isochronous ? USB_DT_INTERFACE_SIZE : 0) + USB_DT_ENDPOINT_SIZE;
}

static inline void camera_describe(struct camera_descriptors *d,
				   bool isochronous)
{
	struct camera_streaming *formats = &d->formats;
	unsigned int i;

	*d = (struct camera_descriptors) {
		.config = {
			.bLength = USB_DT_CONFIG_SIZE,
			.bDescriptorType = USB_DT_CONFIG,
			.wTotalLength =
				htole16(camera_descriptors_length(isochronous)),
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
			.bNumEndpoints = !isochronous,
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
	if (isochronous) {
		d->alternate = d->streaming;
		d->alternate.bAlternateSetting = 1;
		d->alternate.bNumEndpoints = 1;
		d->endpoint.bmAttributes = USB_ENDPOINT_XFER_ISOC |
					   USB_ENDPOINT_SYNC_ASYNC;
		/* three packets of 1024 bytes at a time */
		d->endpoint.wMaxPacketSize = htole16(2 << 11 | 1024);
		d->endpoint.bInterval = 1;
	}

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
	.bcdUSB = __cpu_to_le16(0x0200),
	.bDeviceClass = USB_CLASS_MISC,
	.bDeviceSubClass = 2,
	.bDeviceProtocol = 1,
	.bMaxPacketSize0 = 64,
	.idVendor = __cpu_to_le16(0x1d6b),
	.idProduct = __cpu_to_le16(0x0102),
	.iProduct = 1,
	.bNumConfigurations = 1,
};

/*
 * What follows are the messages of USB/IP, all of them in big endian, as in
 * Documentation/usb/usbip_protocol.rst.
 */
enum {
	USBIP_CMD_SUBMIT = 1, USBIP_CMD_UNLINK, USBIP_RET_SUBMIT,
	USBIP_RET_UNLINK
};

struct usbip_header {
	uint32_t command;
	uint32_t seqnum;
	uint32_t devid;
	uint32_t direction;
	uint32_t endpoint;
	union {
		struct {
			uint32_t flags;
			uint32_t length;
			uint32_t start_frame;
			uint32_t packets;
			uint32_t interval;
			struct usb_ctrlrequest setup;
		} cmd_submit;
		struct {
			uint32_t status;
			uint32_t length;
			uint32_t start_frame;
			uint32_t packets;
			uint32_t errors;
		} ret_submit;
		struct {
			uint32_t seqnum;
		} cmd_unlink;
		struct {
			uint32_t status;
		} ret_unlink;
	};
};

struct usbip_packet {
	uint32_t offset;
	uint32_t length;
	uint32_t actual_length;
	uint32_t status;
};

struct usbip_urb {
	struct usbip_header header;
	struct usbip_packet packets[CAMERA_PACKETS];
};

/*
 * The process of the camera. On raw-gadget one thread answers requests, and one
 * sends frames; over USB/IP one does both.
 */
struct camera_gadget {
	bool isochronous;
	int fd;
	int commands;
	int endpoint;
	pthread_t sender;
	struct camera_shared *shared;
	struct camera_descriptors descriptors;
	struct uvc_streaming_control probe;
	struct uvc_streaming_control commit;
	struct gadget_io control;
	struct gadget_io payload;
	uint8_t frame[CAMERA_MAX_FRAME + CAMERA_PAYLOAD];
	enum camera_command command;
	size_t length;
	size_t offset;
	bool committing;
	bool toggle;
	uint32_t clock;
	struct usbip_urb urbs[CAMERA_URBS];
	unsigned int urb_count;
};

static inline void camera_begin_frame(struct camera_gadget *c,
				      enum camera_command command)
{
	unsigned int size = c->commit.bFrameIndex - 1;
	uint32_t number;

	number = __atomic_fetch_add(&c->shared->number, 1, __ATOMIC_SEQ_CST);
	c->command = command;
	c->length = camera_fill(c->frame, c->commit.bFormatIndex, size, number);
	if (command == CAMERA_SHORT || command == CAMERA_HALF)
		c->length /= 2;
	if (command == CAMERA_LONG)
		c->length = camera_max_frame(c->commit.bFormatIndex, size) +
			    512;
	c->offset = 0;
	c->toggle = !c->toggle;
}

/* Writes a header and the next part of the frame. Returns their length. */
static inline size_t camera_next_payload(struct camera_gadget *c, uint8_t *data,
					 size_t most)
{
	uint8_t flags = UVC_STREAM_EOH | UVC_STREAM_PTS | UVC_STREAM_SCR;
	uint32_t clock = htole32(c->clock++);
	uint16_t sof = htole16(c->clock & 0x7ff);
	size_t part = c->length - c->offset;

	if (part > most - CAMERA_HEADER)
		part = most - CAMERA_HEADER;
	memcpy(data + CAMERA_HEADER, c->frame + c->offset, part);
	c->offset += part;

	if (c->toggle)
		flags |= UVC_STREAM_FID;
	if (c->command == CAMERA_ERROR)
		flags |= UVC_STREAM_ERR;
	if (c->offset == c->length && c->command != CAMERA_HALF)
		flags |= UVC_STREAM_EOF;
	data[0] = CAMERA_HEADER;
	data[1] = flags;
	memcpy(data + 2, &clock, 4);
	memcpy(data + 6, &clock, 4);
	memcpy(data + 10, &sof, 2);

	return CAMERA_HEADER + part;
}

static inline void camera_send_frame(struct camera_gadget *c,
				     enum camera_command command)
{
	struct gadget_io *p = &c->payload;

	/* the host may stream before this process has processed the commit */
	while (__atomic_load_n(&c->committing, __ATOMIC_ACQUIRE))
		usleep(100);
	camera_begin_frame(c, command);
	do {
		p->io.ep = c->endpoint;
		p->io.length = camera_next_payload(c, p->data, CAMERA_PAYLOAD);
		/* a payload that is not full ends with a short packet */
		p->io.flags = p->io.length < CAMERA_PAYLOAD ?
			      USB_RAW_IO_FLAGS_ZERO : 0;
		if (ioctl(c->fd, USB_RAW_IOCTL_EP_WRITE, p) < 0) {
			__atomic_store_n(&c->shared->error, errno,
					 __ATOMIC_RELAXED);
			break;
		}
	} while (c->offset < c->length);
}

/* Discards commands sent before the stream has started. */
static inline void camera_forget(struct camera_gadget *c)
{
	uint8_t rest[256];

	while (read(c->commands, rest, sizeof(rest)) > 0)
		;
}

static inline void *camera_send(void *arg)
{
	struct camera_gadget *c = arg;
	uint8_t command;

	__atomic_store_n(&c->shared->sender, gettid(), __ATOMIC_RELEASE);
	for (;;) {
		if (__atomic_load_n(&c->shared->restart, __ATOMIC_ACQUIRE)) {
			camera_forget(c);
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
 * The camera is not informed if the driver stops in the middle of a frame. So a
 * commit drops the rest. A signal may come too early to interrupt the sender,
 * so repeat it.
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

/* Accepts the requested format and size if they exist, or else the first. */
static inline void camera_negotiate(struct camera_gadget *c,
				    struct uvc_streaming_control *probe)
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
	probe->dwMaxPayloadTransferSize =
		htole32(c->isochronous ? CAMERA_PACKET : CAMERA_PAYLOAD);
	probe->dwClockFrequency = htole32(48000000);
	/* headers have the frame toggle bit and the end of frame bit */
	probe->bmFramingInfo = 3;
}

/* Returns how much of c->control.data is the answer, or -1. */
static inline int camera_get_descriptor(struct camera_gadget *c, uint16_t which)
{
	struct camera_descriptors *d = &c->descriptors;
	uint8_t *data = c->control.data;
	char name[GADGET_NAME_SIZE];
	size_t length;

	switch (which) {
	case USB_DT_DEVICE << 8:
		memcpy(data, &camera_device, sizeof(camera_device));
		return sizeof(camera_device);
	case USB_DT_CONFIG << 8:
		length = offsetof(struct camera_descriptors, alternate);
		memcpy(data, d, length);
		if (c->isochronous)
			length = camera_append(data, length, &d->alternate,
					       USB_DT_INTERFACE_SIZE);
		return camera_append(data, length, &d->endpoint,
				     USB_DT_ENDPOINT_SIZE);
	case USB_DT_STRING << 8:
		return gadget_languages(data);
	case USB_DT_STRING << 8 | 1:
		camera_name(getpid(), name);
		return gadget_string(data, name);
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

/* The same for any request; the host may have more to send. */
static inline int camera_request(struct camera_gadget *c,
				 const struct usb_ctrlrequest *request)
{
	int length;

	if ((request->bRequestType & USB_TYPE_MASK) != USB_TYPE_STANDARD)
		length = camera_class(c, request);
	else if (request->bRequest == USB_REQ_GET_DESCRIPTOR)
		length = camera_get_descriptor(c, le16toh(request->wValue));
	else if (request->bRequest == USB_REQ_SET_CONFIGURATION)
		length = c->isochronous ? 0 : camera_configure(c);
	else
		length = request->bRequest == USB_REQ_SET_INTERFACE ? 0 : -1;

	return length < le16toh(request->wLength) ? length :
	       le16toh(request->wLength);
}

static inline bool camera_commits(const struct usb_ctrlrequest *request)
{
	return request->bRequest == UVC_SET_CUR &&
	       le16toh(request->wValue) >> 8 == UVC_VS_COMMIT_CONTROL;
}

/* Takes what the host has sent, which is in c->control.data. */
static inline void camera_set(struct camera_gadget *c,
			      const struct usb_ctrlrequest *request, int length)
{
	if (request->bRequest != UVC_SET_CUR || length != sizeof(c->probe))
		return;
	memcpy(&c->probe, c->control.data, sizeof(c->probe));
	camera_negotiate(c, &c->probe);
	if (camera_commits(request))
		c->commit = c->probe;
}

static inline void camera_answer(struct camera_gadget *c,
				 const struct usb_ctrlrequest *request)
{
	int length = camera_request(c, request);
	bool set = length >= 0 && !(request->bRequestType & USB_DIR_IN);

	/* the host streams as soon as it has been acknowledged */
	if (set && camera_commits(request)) {
		camera_restart(c);
		__atomic_store_n(&c->committing, true, __ATOMIC_RELEASE);
	}
	length = gadget_answer(c->fd, request, &c->control, length);
	if (set)
		camera_set(c, request, length);
	__atomic_store_n(&c->committing, false, __ATOMIC_RELEASE);
}

static inline void camera_run_gadget(struct camera_gadget *c)
{
	struct sigaction action = { .sa_handler = camera_interrupt };
	struct usb_ctrlrequest request;

	sigaction(SIGUSR1, &action, NULL);
	c->endpoint = -1;
	while (gadget_next(c->fd, &request))
		camera_answer(c, &request);
}

/* Over USB/IP: if this fails, the other end is gone. */
static inline void usbip_send(struct camera_gadget *c, const void *data,
			      size_t length)
{
	if (length && send(c->fd, data, length, MSG_NOSIGNAL) != length)
		_exit(1);
}

static inline void usbip_receive(struct camera_gadget *c, void *data,
				 size_t length)
{
	if (length && recv(c->fd, data, length, MSG_WAITALL) != length)
		_exit(1);
}

static inline void usbip_answer(struct camera_gadget *c,
				const struct usbip_header *cmd)
{
	const struct usb_ctrlrequest *request = &cmd->cmd_submit.setup;
	bool in = request->bRequestType & USB_DIR_IN;
	struct usbip_header ret = {
		.command = htobe32(USBIP_RET_SUBMIT), .seqnum = cmd->seqnum,
	};
	int length;

	if (!in)
		usbip_receive(c, c->control.data,
			      be32toh(cmd->cmd_submit.length));
	length = camera_request(c, request);
	if (!in && length >= 0) {
		length = be32toh(cmd->cmd_submit.length);
		camera_set(c, request, length);
		if (camera_commits(request)) {
			camera_forget(c);
			c->offset = c->length;
		}
	}
	ret.ret_submit.status = htobe32(length < 0 ? -EPIPE : 0);
	ret.ret_submit.length = htobe32(length < 0 ? 0 : length);
	usbip_send(c, &ret, sizeof(ret));
	if (in && length > 0)
		usbip_send(c, c->control.data, length);
}

/* Removes a transfer from the pending ones, if it is one of them. */
static inline bool usbip_take_urb(struct camera_gadget *c, uint32_t seqnum,
				  struct usbip_urb *urb)
{
	unsigned int i = 0;

	while (i < c->urb_count && c->urbs[i].header.seqnum != seqnum)
		i++;
	if (i == c->urb_count)
		return false;
	*urb = c->urbs[i];
	c->urb_count--;
	memmove(&c->urbs[i], &c->urbs[i + 1],
		(c->urb_count - i) * sizeof(*urb));

	return true;
}

static inline void usbip_read(struct camera_gadget *c)
{
	struct usbip_header cmd, ret = { };
	struct usbip_urb *urb, unlinked;
	uint32_t packets;

	usbip_receive(c, &cmd, sizeof(cmd));
	if (cmd.command == htobe32(USBIP_CMD_UNLINK)) {
		ret.command = htobe32(USBIP_RET_UNLINK);
		ret.seqnum = cmd.seqnum;
		if (usbip_take_urb(c, cmd.cmd_unlink.seqnum, &unlinked))
			ret.ret_unlink.status = htobe32(-ECONNRESET);
		usbip_send(c, &ret, sizeof(ret));
	} else if (!cmd.endpoint) {
		usbip_answer(c, &cmd);
	} else {
		packets = be32toh(cmd.cmd_submit.packets);
		if (packets > CAMERA_PACKETS || c->urb_count == CAMERA_URBS)
			_exit(1);
		urb = &c->urbs[c->urb_count++];
		urb->header = cmd;
		usbip_receive(c, urb->packets, packets * sizeof(*urb->packets));
	}
}

/* Sends as much of the frame as the oldest transfer takes. */
static inline void usbip_send_urb(struct camera_gadget *c)
{
	static uint8_t data[CAMERA_PACKETS * CAMERA_PACKET];
	struct usbip_header ret = { };
	struct usbip_urb urb;
	size_t length = 0, part;
	uint32_t packets, i;

	usbip_take_urb(c, c->urbs[0].header.seqnum, &urb);
	packets = be32toh(urb.header.cmd_submit.packets);
	for (i = 0; i < packets; i++) {
		part = c->offset == c->length ? 0 :
		       camera_next_payload(c, data + length, CAMERA_PACKET);
		urb.packets[i].actual_length = htobe32(part);
		urb.packets[i].status = 0;
		length += part;
	}
	ret.command = htobe32(USBIP_RET_SUBMIT);
	ret.seqnum = urb.header.seqnum;
	ret.ret_submit.length = htobe32(length);
	ret.ret_submit.packets = urb.header.cmd_submit.packets;
	usbip_send(c, &ret, sizeof(ret));
	usbip_send(c, data, length);
	usbip_send(c, urb.packets, packets * sizeof(*urb.packets));
	if (c->offset == c->length)
		__atomic_fetch_add(&c->shared->done, 1, __ATOMIC_SEQ_CST);
}

static inline void camera_run_usbip(struct camera_gadget *c)
{
	enum { HOST, TEST };
	struct pollfd fds[] = {
		[HOST] = { .fd = c->fd, .events = POLLIN },
		[TEST] = { .events = POLLIN },
	};
	uint8_t command;

	for (;;) {
		if (c->urb_count && c->offset < c->length) {
			usbip_send_urb(c);
			continue;
		}
		/* a frame begins when there is a transfer for it */
		fds[TEST].fd = c->urb_count ? c->commands : -1;
		poll(fds, 2, -1);
		if (fds[HOST].revents)
			usbip_read(c);
		else if (read(c->commands, &command, 1) == 1)
			camera_begin_frame(c, command);
	}
}

static inline void camera_run(struct camera_gadget *c, pid_t test)
{
	/* die with the test, which may be gone already */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != test)
		_exit(1);
	camera_describe(&c->descriptors, c->isochronous);
	camera_negotiate(c, &c->probe);
	c->commit = c->probe;
	if (c->isochronous)
		camera_run_usbip(c);
	else
		camera_run_gadget(c);
	_exit(1);
}

/* The host takes a device that comes too early for the previous one. */
static inline int camera_plug_usbip(void)
{
	int fds[2], port, ret;
	char text[64];
	glob_t old;

	if (!glob("/sys/devices/platform/vhci_hcd.0/usb*/*-1", 0, NULL, &old)) {
		globfree(&old);
		return -EBUSY;
	}
	port = open("/sys/devices/platform/vhci_hcd.0/attach", O_WRONLY);
	if (port < 0)
		return -ENODEV;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds)) {
		ret = -errno;
		close(port);
		return ret;
	}
	/* the first port, and the camera is the first device of its host */
	ret = snprintf(text, sizeof(text), "0 %d 1 %d", fds[1],
		       USB_SPEED_HIGH);
	ret = write(port, text, ret) == ret ? fds[0] : -errno;
	if (ret < 0)
		close(fds[0]);
	close(fds[1]);
	close(port);

	return ret;
}

/*
 * Plugs the camera in. Returns -ENODEV if there is nothing to plug it into. The
 * process of the camera inherits the files that are open.
 */
static inline int camera_plug(struct camera *camera, bool isochronous)
{
	static struct camera_gadget gadget;
	int fds[2];
	pid_t test = getpid();

	if (access("/sys/module/uvcvideo", F_OK))
		return -ENODEV;

	gadget.fd = gadget_wait(isochronous ? camera_plug_usbip : gadget_plug);
	if (gadget.fd < 0)
		return gadget.fd;
	gadget.isochronous = isochronous;

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
	/* from now on only the process of the camera has these open */
	close(fds[0]);
	close(gadget.fd);

	return camera->pid < 0 ? -errno : 0;
}

/* The driver notices only later: callers may have to wait for that. */
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

/* Sends a command @count times, once streaming has been started. */
static inline int camera_ask(struct camera *camera, enum camera_command command,
			     unsigned int count)
{
	uint8_t byte = command;

	while (count--)
		if (write(camera->commands, &byte, 1) != 1)
			return -errno;

	return 0;
}

/* Do not let less urgent threads delay the camera. */
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

/* How many commands are done, with their data at the host */
static inline uint32_t camera_done(struct camera *camera)
{
	return __atomic_load_n(&camera->shared->done, __ATOMIC_SEQ_CST);
}

/* Opens the node if it is one of the camera, and has the capability. */
static inline int camera_open_node(const char *camera, unsigned int number,
				   uint32_t capability)
{
	struct v4l2_capability cap;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/video4linux/video%u/name",
		 number);
	if (!gadget_has_name(path, camera))
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
	char name[GADGET_NAME_SIZE];
	int i, fd, tries;

	camera_name(camera->pid, name);
	for (tries = 0; tries < GADGET_PATIENCE; tries++) {
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
