// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for dma-buf attachments without a device, made by importers that
 * access a buffer with the CPU only.
 *
 * The exporter is a mock that counts its calls. Where a test also needs an
 * attachment with a device, that is a device which no driver ever binds to.
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/iosys-map.h>
#include <linux/list.h>
#include <linux/module.h>

#include "st-dma-buf-mock.h"

/* An exporter with attach and detach callbacks. */
static const struct dma_buf_ops mock_ops = {
	.attach = mock_attach,
	.detach = mock_detach,
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.release = mock_release,
};

/* An exporter without them. */
static const struct dma_buf_ops mock_no_attach_ops = {
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.release = mock_release,
};

/* An exporter that can move its buffers unless they are pinned. */
static const struct dma_buf_ops mock_dynamic_ops = {
	.attach = mock_attach,
	.detach = mock_detach,
	.pin = mock_pin,
	.unpin = mock_unpin,
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.vmap = mock_vmap,
	.vunmap = mock_vunmap,
	.release = mock_release,
};

/* An exporter of memory that the CPU cannot access. */
static const struct dma_buf_ops mock_no_vmap_ops = {
	.attach = mock_attach,
	.detach = mock_detach,
	.map_dma_buf = mock_map,
	.unmap_dma_buf = mock_unmap,
	.release = mock_release,
};

static void mock_detach_action(void *data)
{
	struct dma_buf_attachment *attach = data;

	dma_buf_detach(attach->dmabuf, attach);
}

/* Attaches, and detaches at the end of the test at the latest. */
static struct dma_buf_attachment *
mock_import(struct kunit *test, struct dma_buf *dmabuf, struct device *dev)
{
	struct dma_buf_attachment *attach;

	attach = dma_buf_attach(dmabuf, dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_detach_action,
						  attach));

	return attach;
}

static void mock_forget(struct kunit *test, struct dma_buf_attachment *attach)
{
	kunit_release_action(test, mock_detach_action, attach);
}

/* The attachment is made, listed and taken down, and the exporter is told. */
static void test_attach(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach;

	attach = mock_import(test, dmabuf, NULL);

	KUNIT_EXPECT_NULL(test, attach->dev);
	KUNIT_EXPECT_FALSE(test, attach->peer2peer);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&dmabuf->attachments));
	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	KUNIT_EXPECT_NULL(test, mock->attach_dev);
	KUNIT_EXPECT_FALSE(test, mock->attach_peer2peer);
	KUNIT_EXPECT_EQ(test, mock->detached, 0);

	mock_forget(test, attach);
	KUNIT_EXPECT_TRUE(test, list_empty(&dmabuf->attachments));
	KUNIT_EXPECT_EQ(test, mock->detached, 1);
}

/* An exporter without attach and detach callbacks does as well. */
static void test_attach_no_callback(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_no_attach_ops);
	struct dma_buf_attachment *attach;

	attach = mock_import(test, dmabuf, NULL);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&dmabuf->attachments));

	mock_forget(test, attach);
	KUNIT_EXPECT_TRUE(test, list_empty(&dmabuf->attachments));
}

/* The exporter may refuse; its error comes through and nothing is left. */
static void test_attach_refused(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach;

	mock->attach_error = -EBUSY;
	attach = dma_buf_attach(dmabuf, NULL);
	KUNIT_EXPECT_PTR_EQ(test, attach, ERR_PTR(-EBUSY));

	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	KUNIT_EXPECT_EQ(test, mock->detached, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&dmabuf->attachments));
}

/* Memory that cannot be mapped is refused without asking the exporter. */
static void test_attach_no_vmap(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_no_vmap_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach;

	attach = dma_buf_attach(dmabuf, NULL);
	KUNIT_EXPECT_PTR_EQ(test, attach, ERR_PTR(-EOPNOTSUPP));

	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&dmabuf->attachments));
}

/* Importer operations without a device are a bug of the importer. */
static void test_attach_importer_ops(struct kunit *test)
{
	static const struct dma_buf_attach_ops importer_ops = {
		.allow_peer2peer = true,
	};
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach = NULL;

	kunit_warning_suppress(test) {
		attach = dma_buf_dynamic_attach(dmabuf, NULL, &importer_ops,
						NULL);
		EXPECT_WARNINGS(test, 1);
	}
	KUNIT_EXPECT_PTR_EQ(test, attach, ERR_PTR(-EINVAL));

	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&dmabuf->attachments));
}

/* Mapping for a device fails before the exporter hears of it. */
static void test_map(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = mock_import(test, dmabuf, NULL);

	sgt = dma_buf_map_attachment_unlocked(attach, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_PTR_EQ(test, sgt, ERR_PTR(-EINVAL));
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);

	mock_forget(test, attach);
	KUNIT_EXPECT_EQ(test, mock->unmapped, 0);
}

/* With a dynamic exporter, attaching or a failed mapping pins nothing. */
static void test_map_dynamic(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_dynamic_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;

	attach = mock_import(test, dmabuf, NULL);
	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	KUNIT_EXPECT_EQ(test, mock->pinned, 0);
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);

	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_EXPECT_PTR_EQ(test, sgt, ERR_PTR(-EINVAL));
	KUNIT_EXPECT_EQ(test, mock->pinned, 0);
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);

	mock_forget(test, attach);
	KUNIT_EXPECT_EQ(test, mock->detached, 1);
	KUNIT_EXPECT_EQ(test, mock->unpinned, 0);
	KUNIT_EXPECT_EQ(test, mock->unmapped, 0);
}

/* A device that is attached to the same buffer does not notice. */
static void test_map_beside_device(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_dynamic_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *cpu_only, *attach;
	struct sg_table *sgt;
	struct device *dev;

	dev = kunit_device_register(test, "dma-buf-importer");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);

	cpu_only = mock_import(test, dmabuf, NULL);
	attach = mock_import(test, dmabuf, dev);
	KUNIT_EXPECT_PTR_EQ(test, mock->attach_dev, dev);

	sgt = dma_buf_map_attachment_unlocked(attach, DMA_TO_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	KUNIT_EXPECT_EQ(test, mock->pinned, 1);
	KUNIT_EXPECT_EQ(test, mock->mapped, 1);

	/* Detaching one leaves the mapping of the other alone. */
	mock_forget(test, cpu_only);
	KUNIT_EXPECT_EQ(test, mock->unpinned, 0);
	KUNIT_EXPECT_EQ(test, mock->unmapped, 0);

	dma_buf_unmap_attachment_unlocked(attach, sgt, DMA_TO_DEVICE);
	mock_forget(test, attach);
	KUNIT_EXPECT_EQ(test, mock->detached, 2);
	KUNIT_EXPECT_EQ(test, mock->unpinned, 1);
	KUNIT_EXPECT_EQ(test, mock->unmapped, 1);
}

/* Two importers without a device share one kernel mapping. */
static void test_vmap(struct kunit *test)
{
	struct dma_buf *dmabuf = mock_export(test, &mock_ops);
	struct mock_exporter *mock = dmabuf->priv;
	struct dma_buf_attachment *attach[2];
	struct iosys_map map[2];
	int i;

	for (i = 0; i < 2; i++)
		attach[i] = mock_import(test, dmabuf, NULL);
	KUNIT_EXPECT_EQ(test, mock->attached, 2);

	/* nothing may end the test early while it holds a mapping */
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, 0,
				dma_buf_vmap_unlocked(dmabuf, &map[i]));
		KUNIT_EXPECT_FALSE(test, map[i].is_iomem);
		KUNIT_EXPECT_PTR_EQ(test, map[i].vaddr, mock->vaddr);
	}
	KUNIT_EXPECT_EQ(test, mock->vmapped, 1);

	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, mock->vunmapped, 0);
		dma_buf_vunmap_unlocked(dmabuf, &map[i]);
		mock_forget(test, attach[i]);
	}
	KUNIT_EXPECT_EQ(test, mock->detached, 2);
	KUNIT_EXPECT_EQ(test, mock->vunmapped, 1);
}

static struct kunit_case dma_buf_attach_cases[] = {
	KUNIT_CASE(test_attach),
	KUNIT_CASE(test_attach_no_callback),
	KUNIT_CASE(test_attach_refused),
	KUNIT_CASE(test_attach_no_vmap),
	KUNIT_CASE(test_attach_importer_ops),
	KUNIT_CASE(test_map),
	KUNIT_CASE(test_map_dynamic),
	KUNIT_CASE(test_map_beside_device),
	KUNIT_CASE(test_vmap),
	{}
};

static struct kunit_suite dma_buf_attach_test_suite = {
	.name = "dma-buf-attach",
	.test_cases = dma_buf_attach_cases,
};

kunit_test_suite(dma_buf_attach_test_suite);

MODULE_DESCRIPTION("KUnit tests for DMA-BUF attachments without a device");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
