/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the KUnit tests need of dma-buf.c
 */
#ifndef __DMA_BUF_INTERNAL_H__
#define __DMA_BUF_INTERNAL_H__

#if IS_ENABLED(CONFIG_KUNIT)
struct notifier_block;

int dma_buf_purge_vmaps(struct notifier_block *nb, unsigned long action,
			void *data);
#endif

#endif
