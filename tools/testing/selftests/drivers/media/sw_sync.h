/* SPDX-License-Identifier: GPL-2.0 */
/* The ioctls of sw_sync, which are in no UAPI header */
#ifndef SW_SYNC_H
#define SW_SYNC_H

#include <linux/ioctl.h>
#include <stdint.h>

#define SW_SYNC		"/sys/kernel/debug/sync/sw_sync"

struct sw_sync_create_fence_data {
	uint32_t value;
	char name[32];
	int32_t fence;
};

#define SW_SYNC_IOC_CREATE_FENCE \
	_IOWR('W', 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC		_IOW('W', 1, uint32_t)

#endif /* SW_SYNC_H */
