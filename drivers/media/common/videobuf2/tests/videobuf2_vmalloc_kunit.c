// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for videobuf2-vmalloc as an exporter: what the CPU and a device
 * see of what the other has written. They are skipped unless the devices use
 * bounce buffers (swiotlb=force).
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/dma-buf.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/fcntl.h>
#include <linux/module.h>
#include <linux/string.h>
#include <media/videobuf2-core.h>
#include <media/videobuf2-vmalloc.h>

#define SIZE		(4 * PAGE_SIZE)
#define MAX_IMPORTERS	2

/* A device that has imported the buffer. */
struct importer {
	struct device *dev;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	enum dma_data_direction dir;
};

struct exporter {
	struct vb2_queue q;
	struct vb2_buffer vb;
	void *priv;
	u8 *vaddr;
	struct importer importer[MAX_IMPORTERS];
};

/* Undoes what the tests have not undone themselves. */
static void exporter_close(void *data)
{
	struct exporter *exp = data;
	unsigned int i;

	for (i = 0; i < MAX_IMPORTERS; i++) {
		struct importer *imp = &exp->importer[i];

		if (imp->sgt)
			dma_buf_unmap_attachment_unlocked(imp->attach, imp->sgt,
							  imp->dir);
		if (imp->attach)
			dma_buf_detach(imp->dmabuf, imp->attach);
		if (imp->dmabuf)
			dma_buf_put(imp->dmabuf);
	}
	if (exp->priv)
		vb2_vmalloc_memops.put(exp->priv);
}

/* A buffer of a queue, and devices that each import a dma-buf of their own */
static struct exporter *exporter_open(struct kunit *test)
{
	static const char * const names[] = { "importer-0", "importer-1" };
	struct exporter *exp;
	unsigned int i;
	void *priv;

	exp = kunit_kzalloc(test, sizeof(*exp), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, exp);
	exp->q.dma_dir = DMA_FROM_DEVICE;
	exp->vb.vb2_queue = &exp->q;

	for (i = 0; i < MAX_IMPORTERS; i++) {
		struct device *dev = kunit_device_register(test, names[i]);

		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
		if (get_dma_ops(dev))
			kunit_skip(test, "cannot look at what a device sees");
		/* it is the CPU, and uses the cache */
		dev_set_dma_coherent(dev);
		KUNIT_ASSERT_EQ(test, 0,
				dma_coerce_mask_and_coherent(dev,
							     DMA_BIT_MASK(64)));
		exp->importer[i].dev = dev;
	}

	/* runs before the devices are unregistered */
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, exporter_close, exp));
	priv = vb2_vmalloc_memops.alloc(&exp->vb, NULL, SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, priv);
	exp->priv = priv;
	exp->vaddr = vb2_vmalloc_memops.vaddr(&exp->vb, priv);
	KUNIT_ASSERT_NOT_NULL(test, exp->vaddr);

	for (i = 0; i < MAX_IMPORTERS; i++) {
		struct importer *imp = &exp->importer[i];
		struct dma_buf_attachment *attach;

		imp->dmabuf = vb2_vmalloc_memops.get_dmabuf(&exp->vb, priv,
							    O_RDWR);
		KUNIT_ASSERT_NOT_NULL(test, imp->dmabuf);
		attach = dma_buf_attach(imp->dmabuf, imp->dev);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
		imp->attach = attach;
	}

	return exp;
}

static void *device_addr(struct importer *imp, struct scatterlist *sg)
{
	return phys_to_virt(dma_to_phys(imp->dev, sg_dma_address(sg)));
}

static void map(struct kunit *test, struct importer *imp,
		enum dma_data_direction dir)
{
	struct sg_table *sgt;

	sgt = dma_buf_map_attachment_unlocked(imp->attach, dir);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sgt);
	imp->sgt = sgt;
	imp->dir = dir;
	if (device_addr(imp, sgt->sgl) == page_address(sg_page(sgt->sgl)))
		kunit_skip(test, "needs swiotlb=force");
}

static void unmap(struct importer *imp)
{
	dma_buf_unmap_attachment_unlocked(imp->attach, imp->sgt, imp->dir);
	imp->sgt = NULL;
}

static void device_writes(struct importer *imp, u8 byte)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(imp->sgt, sg, i)
		memset(device_addr(imp, sg), byte, sg_dma_len(sg));
}

static bool device_reads(struct importer *imp, u8 byte)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(imp->sgt, sg, i)
		if (memchr_inv(device_addr(imp, sg), byte, sg_dma_len(sg)))
			return false;

	return true;
}

static void cpu_writes(struct exporter *exp, u8 byte)
{
	memset(exp->vaddr, byte, SIZE);
}

static bool cpu_reads(struct exporter *exp, u8 byte)
{
	return !memchr_inv(exp->vaddr, byte, SIZE);
}

/* An importer need not do more than map and unmap. */
static void test_remap(struct kunit *test)
{
	struct exporter *exp = exporter_open(test);
	struct importer *imp = &exp->importer[0];

	cpu_writes(exp, 1);
	map(test, imp, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, device_reads(imp, 1));
	unmap(imp);

	cpu_writes(exp, 2);
	map(test, imp, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, device_reads(imp, 2));
	unmap(imp);

	map(test, imp, DMA_FROM_DEVICE);
	device_writes(imp, 3);
	unmap(imp);
	KUNIT_EXPECT_TRUE(test, cpu_reads(exp, 3));

	map(test, imp, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, device_reads(imp, 3));
	device_writes(imp, 4);
	unmap(imp);
	KUNIT_EXPECT_TRUE(test, cpu_reads(exp, 4));
}

/* All devices get what the CPU writes, whichever dma-buf it syncs. */
static void test_sync_for_device(struct kunit *test)
{
	struct exporter *exp = exporter_open(test);
	unsigned int i;

	cpu_writes(exp, 1);
	map(test, &exp->importer[0], DMA_TO_DEVICE);
	map(test, &exp->importer[1], DMA_BIDIRECTIONAL);

	for (i = 0; i < MAX_IMPORTERS; i++) {
		struct dma_buf *dmabuf = exp->importer[i].dmabuf;
		u8 byte = 2 + i;

		KUNIT_EXPECT_EQ(test, 0,
				dma_buf_begin_cpu_access(dmabuf,
							 DMA_TO_DEVICE));
		cpu_writes(exp, byte);
		KUNIT_EXPECT_EQ(test, 0,
				dma_buf_end_cpu_access(dmabuf, DMA_TO_DEVICE));
		KUNIT_EXPECT_TRUE(test, device_reads(&exp->importer[0], byte));
		KUNIT_EXPECT_TRUE(test, device_reads(&exp->importer[1], byte));
	}
}

/*
 * The CPU sees what one device has written, and not what another one has read.
 * It may write, too. A CPU access that only reads does not change what a device
 * sees.
 */
static void test_sync_for_cpu(struct kunit *test)
{
	struct exporter *exp = exporter_open(test);
	struct importer *writer = &exp->importer[0];
	struct importer *reader = &exp->importer[1];

	cpu_writes(exp, 1);
	map(test, writer, DMA_FROM_DEVICE);
	map(test, reader, DMA_TO_DEVICE);
	device_writes(writer, 2);

	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_begin_cpu_access(reader->dmabuf,
						 DMA_FROM_DEVICE));
	KUNIT_EXPECT_TRUE(test, cpu_reads(exp, 2));
	device_writes(writer, 3);
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_end_cpu_access(reader->dmabuf,
					       DMA_FROM_DEVICE));

	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_begin_cpu_access(reader->dmabuf,
						 DMA_TO_DEVICE));
	KUNIT_EXPECT_TRUE(test, cpu_reads(exp, 3));
	cpu_writes(exp, 4);
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_end_cpu_access(reader->dmabuf, DMA_TO_DEVICE));
	KUNIT_EXPECT_TRUE(test, device_reads(reader, 4));
	unmap(writer);
	KUNIT_EXPECT_TRUE(test, cpu_reads(exp, 4));
}

/* The buffer exists as long as a dma-buf does, even without its queue. */
static void test_outlive_queue(struct kunit *test)
{
	struct exporter *exp = exporter_open(test);
	struct importer *imp = &exp->importer[0];
	struct iosys_map map_cpu;

	map(test, imp, DMA_BIDIRECTIONAL);
	device_writes(imp, 1);
	vb2_vmalloc_memops.put(exp->priv);
	exp->priv = NULL;

	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_begin_cpu_access(imp->dmabuf, DMA_FROM_DEVICE));
	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(imp->dmabuf, &map_cpu));
	KUNIT_EXPECT_NULL(test, memchr_inv(map_cpu.vaddr, 1, SIZE));
	dma_buf_vunmap_unlocked(imp->dmabuf, &map_cpu);
	KUNIT_EXPECT_EQ(test, 0,
			dma_buf_end_cpu_access(imp->dmabuf, DMA_FROM_DEVICE));
}

static struct kunit_case videobuf2_vmalloc_cases[] = {
	KUNIT_CASE(test_remap),
	KUNIT_CASE(test_sync_for_device),
	KUNIT_CASE(test_sync_for_cpu),
	KUNIT_CASE(test_outlive_queue),
	{}
};

static struct kunit_suite videobuf2_vmalloc_test_suite = {
	.name = "videobuf2-vmalloc",
	.test_cases = videobuf2_vmalloc_cases,
};

kunit_test_suite(videobuf2_vmalloc_test_suite);

MODULE_DESCRIPTION("KUnit tests for videobuf2-vmalloc");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
