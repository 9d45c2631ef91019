// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the shadow heap, included from there: what is copied when,
 * and what devices and the CPU find then.
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/fcntl.h>
#include <linux/file.h>

/* one segment of a mapping */
#define SHADOW_TEST_LEN		SHADOW_SEGMENT
#define SHADOW_TEST_HALF	(SHADOW_TEST_LEN / 2)

static void shadow_test_put(void *data)
{
	struct dma_buf *dmabuf = data;

	/* Unlike dma_buf_put(), releases the buffer at once. */
	__fput_sync(dmabuf->file);
}

static struct dma_buf *shadow_test_export(struct kunit *test)
{
	struct dma_buf *dmabuf;

	dmabuf = shadow_heap_export(SHADOW_TEST_LEN, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, shadow_test_put,
						  dmabuf));

	return dmabuf;
}

/* A device that has the buffer mapped. */
struct shadow_test_device {
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	enum dma_data_direction dir;
	void *mem;	/* what it reads and writes: perhaps a bounce buffer */
};

static void shadow_test_unmap(void *data)
{
	struct shadow_test_device *dev = data;

	dma_buf_unmap_attachment_unlocked(dev->attach, dev->sgt, dev->dir);
	dma_buf_detach(dev->attach->dmabuf, dev->attach);
}

static struct shadow_test_device *
shadow_test_map(struct kunit *test, struct dma_buf *dmabuf, const char *name,
		enum dma_data_direction dir)
{
	struct shadow_test_device *dev;
	struct device *device;
	phys_addr_t phys;
	int ret;

	dev = kunit_kzalloc(test, sizeof(*dev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev);
	device = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, device);
	if (!IS_ENABLED(CONFIG_HAS_DMA) || get_dma_ops(device))
		kunit_skip(test, "cannot tell what a device sees");
	ret = dma_coerce_mask_and_coherent(device, DMA_BIT_MASK(64));
	KUNIT_ASSERT_EQ(test, ret, 0);

	dev->dir = dir;
	dev->attach = dma_buf_attach(dmabuf, device);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev->attach);
	dev->sgt = dma_buf_map_attachment_unlocked(dev->attach, dir);
	if (IS_ERR(dev->sgt))
		dma_buf_detach(dmabuf, dev->attach);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev->sgt);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, shadow_test_unmap,
						  dev));

	KUNIT_ASSERT_EQ(test, dev->sgt->nents, 1);
	phys = dma_to_phys(device, sg_dma_address(dev->sgt->sgl));
	dev->mem = phys_to_virt(phys);

	return dev;
}

/*
 * Not by way of dma_buf_begin_cpu_access() and dma_buf_end_cpu_access(): these
 * pass a part of the calls if several users overlap.
 */
static void shadow_test_begin(struct kunit *test, struct dma_buf *dmabuf,
			      enum dma_data_direction dir)
{
	KUNIT_ASSERT_EQ(test, 0, shadow_heap_begin_cpu_access(dmabuf, dir));
}

static void shadow_test_end(struct kunit *test, struct dma_buf *dmabuf,
			    enum dma_data_direction dir)
{
	KUNIT_ASSERT_EQ(test, 0, shadow_heap_end_cpu_access(dmabuf, dir));
}

/* Is memory filled with this byte? */
#define SHADOW_EXPECT(test, byte, mem, len) \
	KUNIT_EXPECT_NULL(test, memchr_inv(mem, byte, len))

static void shadow_test_balanced(struct kunit *test,
				 struct shadow_heap_buffer *buffer, u32 begins)
{
	KUNIT_EXPECT_EQ(test, buffer->begins, begins);
	KUNIT_EXPECT_EQ(test, buffer->ends, begins);
	KUNIT_EXPECT_EQ(test, buffer->underflows, 0);
	KUNIT_EXPECT_EQ(test, buffer->readers, 0);
	KUNIT_EXPECT_EQ(test, buffer->writers, 0);
}

/* Devices find zeros, and the CPU does not before it asks. */
static void test_new(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	struct iosys_map map;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_FALSE(test, map.is_iomem);
	SHADOW_EXPECT(test, 0, buffer->device, SHADOW_TEST_LEN);
	SHADOW_EXPECT(test, SHADOW_POISON, map.vaddr, SHADOW_TEST_LEN);

	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 0, map.vaddr, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, SHADOW_POISON, map.vaddr, SHADOW_TEST_LEN);

	dma_buf_vunmap_unlocked(dmabuf, &map);
	shadow_test_balanced(test, buffer, 1);
}

/* Who reads does not write, and who does not say so does nothing. */
static void test_wrong_bracket(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	memset(buffer->cpu, 1, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 0, buffer->cpu, SHADOW_TEST_LEN);
	memset(buffer->cpu, 2, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->cpu, SHADOW_TEST_LEN);
	SHADOW_EXPECT(test, 0, buffer->device, SHADOW_TEST_LEN);
	shadow_test_balanced(test, buffer, 1);
}

/* Who writes only part of what it said it would leaves poison in the rest. */
static void test_write_part(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	memset(buffer->cpu, 1, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->cpu, SHADOW_TEST_LEN);
	memset(buffer->cpu, 2, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 0, buffer->device, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, 2, buffer->device, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->device + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->cpu, SHADOW_TEST_LEN);

	/* but not if it reads as well */
	memset(buffer->device, 3, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	SHADOW_EXPECT(test, 3, buffer->cpu, SHADOW_TEST_LEN);
	memset(buffer->cpu, 4, SHADOW_TEST_HALF);
	shadow_test_end(test, dmabuf, DMA_BIDIRECTIONAL);
	SHADOW_EXPECT(test, 4, buffer->device, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 3, buffer->device + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);
	shadow_test_balanced(test, buffer, 2);
}

/* An end without its begin copies nothing, and is counted. */
static void test_underflow(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	int underflows = atomic_read(&shadow_heap_underflows);
	int leaks = atomic_read(&shadow_heap_leaks);

	memset(buffer->cpu, 1, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_BIDIRECTIONAL);
	SHADOW_EXPECT(test, 0, buffer->device, SHADOW_TEST_LEN);
	KUNIT_EXPECT_EQ(test, buffer->underflows, 1);

	/* nor does it end what others began for another direction */
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	memset(buffer->cpu, 1, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, 0, buffer->device, SHADOW_TEST_LEN);
	SHADOW_EXPECT(test, 1, buffer->cpu, SHADOW_TEST_LEN);
	KUNIT_EXPECT_EQ(test, buffer->underflows, 2);
	KUNIT_EXPECT_EQ(test, buffer->readers, 1);
	KUNIT_EXPECT_EQ(test, buffer->begins, 1);
	KUNIT_EXPECT_EQ(test, buffer->ends, 2);

	/* and what is never ended is told in the end */
	kunit_release_action(test, shadow_test_put, dmabuf);
	KUNIT_EXPECT_EQ(test, underflows + 2,
			atomic_read(&shadow_heap_underflows));
	KUNIT_EXPECT_EQ(test, leaks + 1, atomic_read(&shadow_heap_leaks));
}

/* Two who write to parts of their own do not destroy what the other wrote. */
static void test_two_writers(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	memset(buffer->cpu, 1, SHADOW_TEST_HALF);
	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	memset(buffer->cpu + SHADOW_TEST_HALF, 2, SHADOW_TEST_HALF);
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, 1, buffer->device, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 2, buffer->device + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);
	shadow_test_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	memset(buffer->cpu, 3, SHADOW_TEST_HALF);
	shadow_test_end(test, dmabuf, DMA_BIDIRECTIONAL);
	SHADOW_EXPECT(test, 3, buffer->device, SHADOW_TEST_HALF);
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, 3, buffer->device, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 2, buffer->device + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->cpu, SHADOW_TEST_LEN);
	shadow_test_balanced(test, buffer, 3);
}

/* Who reads goes on reading, and gets what is new, whatever others do. */
static void test_two_readers(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, 0, buffer->cpu, SHADOW_TEST_LEN);
	memset(buffer->cpu, 1, SHADOW_TEST_HALF);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 1, buffer->cpu, SHADOW_TEST_HALF);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 1, buffer->cpu, SHADOW_TEST_HALF);
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	SHADOW_EXPECT(test, 1, buffer->device, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 0, buffer->device + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 1, buffer->cpu, SHADOW_TEST_HALF);

	memset(buffer->device, 2, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 2, buffer->cpu, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 2, buffer->cpu, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->cpu, SHADOW_TEST_LEN);
	shadow_test_balanced(test, buffer, 4);
}

/*
 * One device writes to the buffer and others read it. What they have mapped may
 * be bounce buffers: everything is synced, and in its own direction.
 */
static void test_devices(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	struct shadow_test_device *camera, *encoder, *screen;
	struct dma_buf_attachment *cpu_only;

	encoder = shadow_test_map(test, dmabuf, "encoder", DMA_TO_DEVICE);
	camera = shadow_test_map(test, dmabuf, "camera", DMA_FROM_DEVICE);
	screen = shadow_test_map(test, dmabuf, "screen", DMA_TO_DEVICE);
	cpu_only = dma_buf_attach(dmabuf, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, cpu_only);

	memset(camera->mem, 1, SHADOW_TEST_LEN);
	SHADOW_EXPECT(test, SHADOW_POISON, buffer->cpu, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 1, buffer->cpu, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	SHADOW_EXPECT(test, 1, camera->mem, SHADOW_TEST_LEN);

	shadow_test_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	memset(buffer->cpu, 2, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 1, camera->mem, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_BIDIRECTIONAL);
	SHADOW_EXPECT(test, 2, encoder->mem, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 1, encoder->mem + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 2, screen->mem, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 2, camera->mem, SHADOW_TEST_HALF);
	SHADOW_EXPECT(test, 1, camera->mem + SHADOW_TEST_HALF,
		      SHADOW_TEST_HALF);

	dma_buf_detach(dmabuf, cpu_only);
	shadow_test_balanced(test, buffer, 2);
}

/* What cannot be contiguous cannot be allocated, and nobody is told of it. */
static void test_too_large(struct kunit *test)
{
	struct dma_buf *dmabuf;

	dmabuf = shadow_heap_export(PAGE_SIZE << (MAX_PAGE_ORDER + 1), O_RDWR);
	KUNIT_EXPECT_PTR_EQ(test, dmabuf, ERR_PTR(-ENOMEM));
	if (!IS_ERR(dmabuf))
		dma_buf_put(dmabuf);
}

static struct kunit_case shadow_heap_cases[] = {
	KUNIT_CASE(test_new),
	KUNIT_CASE(test_wrong_bracket),
	KUNIT_CASE(test_write_part),
	KUNIT_CASE(test_underflow),
	KUNIT_CASE(test_two_writers),
	KUNIT_CASE(test_two_readers),
	KUNIT_CASE(test_devices),
	KUNIT_CASE(test_too_large),
	{}
};

static struct kunit_suite shadow_heap_test_suite = {
	.name = "dma-buf-shadow-heap",
	.test_cases = shadow_heap_cases,
};

kunit_test_suite(shadow_heap_test_suite);
