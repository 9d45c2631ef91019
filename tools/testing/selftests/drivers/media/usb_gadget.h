/* SPDX-License-Identifier: GPL-2.0 */
/* A USB device that is emulated with raw-gadget and dummy_hcd */

#ifndef USB_GADGET_H
#define USB_GADGET_H

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/usb/ch9.h>
#include <linux/usb/raw_gadget.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GADGET_NAME_SIZE	32

/* The most that is transferred at a time */
#define GADGET_TRANSFER		65536

/* in milliseconds, and far more than it takes */
#define GADGET_PATIENCE		60000

struct gadget_io {
	struct usb_raw_ep_io io;
	uint8_t data[GADGET_TRANSFER];
};

/* Returns the file of a device that is plugged in, or -errno. */
static inline int gadget_plug(void)
{
	struct usb_raw_init init = {
		.speed = USB_SPEED_HIGH,
		.driver_name = "dummy_udc",
		.device_name = "dummy_udc.0",
	};
	int fd, ret;

	if (access("/sys/class/udc/dummy_udc.0", F_OK))
		return -ENODEV;
	fd = open("/dev/raw-gadget", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -ENODEV;
	if (!ioctl(fd, USB_RAW_IOCTL_INIT, &init) &&
	    !ioctl(fd, USB_RAW_IOCTL_RUN, 0))
		return fd;
	ret = -errno;
	close(fd);

	return ret;
}

/* The process of the previous device may not be gone yet. */
static inline int gadget_wait(int (*plug)(void))
{
	int ret, tries = 0;

	while ((ret = plug()) == -EBUSY && ++tries < GADGET_PATIENCE)
		usleep(1000);

	return ret;
}

/* Does this file in sysfs contain the device's name? */
static inline bool gadget_has_name(const char *path, const char *name)
{
	bool same = false;
	char line[64];
	FILE *file;

	file = fopen(path, "r");
	if (!file)
		return false;
	if (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		same = !strcmp(line, name);
	}
	fclose(file);

	return same;
}

/* Waits for a control request. Returns false on a signal. */
static inline bool gadget_next(int fd, struct usb_ctrlrequest *request)
{
	struct {
		struct usb_raw_event event;
		struct usb_ctrlrequest request;
	} event;

	do {
		event.event.length = sizeof(event.request);
		if (ioctl(fd, USB_RAW_IOCTL_EVENT_FETCH, &event))
			return false;
	} while (event.event.type != USB_RAW_EVENT_CONTROL);
	*request = event.request;

	return true;
}

/*
 * Sends @length bytes, or else takes what the host has to send and returns how
 * much that is. A negative @length refuses the request.
 */
static inline int gadget_answer(int fd, const struct usb_ctrlrequest *request,
				struct gadget_io *control, int length)
{
	bool in = request->bRequestType & USB_DIR_IN;

	if (length < 0)
		return ioctl(fd, USB_RAW_IOCTL_EP0_STALL, 0);
	if (!in || length > le16toh(request->wLength))
		length = le16toh(request->wLength);
	control->io.length = length;

	return ioctl(fd, in ? USB_RAW_IOCTL_EP0_WRITE : USB_RAW_IOCTL_EP0_READ,
		     control);
}

/* Makes a string descriptor and returns how long it is. */
static inline int gadget_string(uint8_t *data, const char *text)
{
	unsigned int i;

	data[0] = 2 + 2 * strlen(text);
	data[1] = USB_DT_STRING;
	for (i = 0; text[i]; i++) {
		data[2 + 2 * i] = text[i];
		data[3 + 2 * i] = 0;
	}

	return data[0];
}

/* The same for the list of languages, which is English */
static inline int gadget_languages(uint8_t *data)
{
	memcpy(data, (uint8_t []){ 4, USB_DT_STRING, 0x09, 0x04 }, 4);

	return 4;
}

#endif /* USB_GADGET_H */
