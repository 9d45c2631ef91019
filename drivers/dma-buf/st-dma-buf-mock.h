/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mock exporter for the KUnit tests of dma-buf. It counts its calls and
 * returns what the test wants. Each test has its own table of callbacks.
 */
#ifndef __ST_DMA_BUF_MOCK_H__
#define __ST_DMA_BUF_MOCK_H__

#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

/*
 * Expects that @count WARN_ON_ONCE() were hit in a kunit_warning_suppress()
 * block. Without CONFIG_BUG there are none. Where report_bug() does not handle
 * them, each may have been hit, and so used up, before.
 */
#if defined(CONFIG_BUG) && defined(__WARN_FLAGS)
#define EXPECT_WARNINGS(test, count)					\
	KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, count)
#else
#define EXPECT_WARNINGS(test, count)					\
	KUNIT_EXPECT_LE(test, KUNIT_SUPPRESSED_WARNING_COUNT(), count)
#endif

/* Counts of calls, and what the callbacks see and return. */
struct mock_exporter {
	int attached;
	int detached;
	int pinned;
	int unpinned;
	int mapped;
	int unmapped;
	int begun;
	int vmapped;
	int vunmapped;
	int released;
	int attach_error;
	int vmap_error;
	struct device *attach_dev;
	bool attach_peer2peer;
	struct dma_fence *fence;
	bool fence_pending;
	bool map_was_set;
	bool released_mapped;
	void *vaddr;
};

static int __maybe_unused mock_attach(struct dma_buf *dmabuf,
				      struct dma_buf_attachment *attach)
{
	struct mock_exporter *mock = dmabuf->priv;

	mock->attached++;
	mock->attach_dev = attach->dev;
	mock->attach_peer2peer = attach->peer2peer;

	return mock->attach_error;
}

static void __maybe_unused mock_detach(struct dma_buf *dmabuf,
				       struct dma_buf_attachment *attach)
{
	struct mock_exporter *mock = dmabuf->priv;

	mock->detached++;
}

static int __maybe_unused mock_pin(struct dma_buf_attachment *attach)
{
	struct mock_exporter *mock = attach->dmabuf->priv;

	mock->pinned++;

	return 0;
}

static void __maybe_unused mock_unpin(struct dma_buf_attachment *attach)
{
	struct mock_exporter *mock = attach->dmabuf->priv;

	mock->unpinned++;
}

static struct sg_table *mock_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction dir)
{
	struct mock_exporter *mock = attach->dmabuf->priv;
	struct sg_table *sgt;

	mock->mapped++;

	sgt = kzalloc_obj(*sgt);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	if (sg_alloc_table(sgt, 1, GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}

	sg_set_page(sgt->sgl, virt_to_page(mock->vaddr), PAGE_SIZE, 0);
	sg_dma_address(sgt->sgl) = page_to_phys(virt_to_page(mock->vaddr));
	sg_dma_len(sgt->sgl) = PAGE_SIZE;

	return sgt;
}

static void mock_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		       enum dma_data_direction dir)
{
	struct mock_exporter *mock = attach->dmabuf->priv;

	mock->unmapped++;
	sg_free_table(sgt);
	kfree(sgt);
}

static int __maybe_unused mock_begin(struct dma_buf *dmabuf,
				     enum dma_data_direction dir)
{
	struct mock_exporter *mock = dmabuf->priv;

	mock->begun++;
	mock->fence_pending = !dma_fence_is_signaled(mock->fence);

	return 0;
}

static int mock_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct mock_exporter *mock = dmabuf->priv;

	mock->vmapped++;
	mock->map_was_set = map->is_iomem || iosys_map_is_set(map);
	if (!mock->vmap_error)
		iosys_map_set_vaddr(map, mock->vaddr);

	return mock->vmap_error;
}

static void mock_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct mock_exporter *mock = dmabuf->priv;

	if (map->vaddr == mock->vaddr && !map->is_iomem)
		mock->vunmapped++;
}

static void mock_release(struct dma_buf *dmabuf)
{
	struct mock_exporter *mock = dmabuf->priv;

	mock->released++;
	mock->released_mapped = mock->vmapped != mock->vunmapped;
}

/* Unlike dma_buf_put(), releases the buffer at once. */
static void mock_put(void *data)
{
	struct dma_buf *dmabuf = data;

	__fput_sync(dmabuf->file);
}

/* Exports a buffer of @size bytes. The mock has one page of memory for it. */
static struct dma_buf *mock_export_size(struct kunit *test,
					const struct dma_buf_ops *ops,
					size_t size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct mock_exporter *mock;
	struct dma_buf *dmabuf;

	mock = kunit_kzalloc(test, sizeof(*mock), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock);
	mock->vaddr = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock->vaddr);

	exp_info.ops = ops;
	exp_info.size = size;
	exp_info.flags = O_RDWR;
	exp_info.priv = mock;

	dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_put, dmabuf));

	return dmabuf;
}

static inline struct dma_buf *mock_export(struct kunit *test,
					  const struct dma_buf_ops *ops)
{
	return mock_export_size(test, ops, PAGE_SIZE);
}

#endif
