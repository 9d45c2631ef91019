/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Internals of dma-buf.c for KUnit tests
 */
#ifndef __DMA_BUF_INTERNAL_H__
#define __DMA_BUF_INTERNAL_H__

#if IS_ENABLED(CONFIG_KUNIT)
struct notifier_block;

int dma_buf_purge_vmaps(struct notifier_block *nb, unsigned long action,
			void *data);
#endif

#endif
