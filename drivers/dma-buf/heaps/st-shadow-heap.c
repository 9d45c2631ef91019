// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the shadow heap, included by shadow_heap.c: what is copied
 * when, and what devices and the CPU then see.
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
	/* it is the CPU, and uses the cache */
	dev_set_dma_coherent(device);
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

static void shadow_test_begin(struct kunit *test, struct dma_buf *dmabuf,
			      enum dma_data_direction dir)
{
	KUNIT_ASSERT_EQ(test, 0, dma_buf_begin_cpu_access(dmabuf, dir));
}

static void shadow_test_end(struct kunit *test, struct dma_buf *dmabuf,
			    enum dma_data_direction dir)
{
	KUNIT_ASSERT_EQ(test, 0, dma_buf_end_cpu_access(dmabuf, dir));
}

/* Is the first half filled with one byte and the second with another? */
static bool shadow_test_has(const void *mem, u8 first, u8 second)
{
	return !memchr_inv(mem, first, SHADOW_TEST_HALF) &&
	       !memchr_inv(mem + SHADOW_TEST_HALF, second, SHADOW_TEST_HALF);
}

/* A new buffer is zeroed. */
static void test_new(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	struct iosys_map map;

	KUNIT_ASSERT_EQ(test, 0, dma_buf_vmap_unlocked(dmabuf, &map));
	KUNIT_EXPECT_FALSE(test, map.is_iomem);
	KUNIT_EXPECT_PTR_EQ(test, map.vaddr, buffer->cpu);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 0, 0));
	KUNIT_EXPECT_TRUE(test, shadow_test_has(map.vaddr, 0, 0));
	dma_buf_vunmap_unlocked(dmabuf, &map);
}

/* A reader gets what devices wrote before its begin, and writes nothing. */
static void test_reader(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	memset(buffer->device, 1, SHADOW_TEST_LEN);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 0, 0));
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 1));
	memset(buffer->device, 2, SHADOW_TEST_LEN);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 1));
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 2, 2));

	memset(buffer->cpu, 3, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 2, 2));
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 3, 3));
}

/*
 * What is written reaches devices at the end and not before. A partial write
 * leaves the rest as it was, even if the writer did not ask to read.
 */
static void test_writer(struct kunit *test)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_BIDIRECTIONAL,
	};
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		memset(buffer->device, 1, SHADOW_TEST_LEN);
		shadow_test_begin(test, dmabuf, dirs[i]);
		KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 1));
		memset(buffer->cpu, 2, SHADOW_TEST_HALF);
		KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 1, 1));
		shadow_test_end(test, dmabuf, dirs[i]);
		KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 2, 1));
		memset(buffer->cpu, 3, SHADOW_TEST_LEN);
		KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 2, 1));
	}
}

/* A reader that begins during a write does not lose what was written. */
static void test_reader_and_writer(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	memset(buffer->cpu, 1, SHADOW_TEST_HALF);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 0));
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 0));
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 0, 0));
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 1, 0));

	/* after the write, readers see what devices write again */
	memset(buffer->device, 2, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 2, 2));
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
}

/* Two writers of different parts do not destroy each other's data. */
static void test_two_writers(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	memset(buffer->cpu, 1, SHADOW_TEST_HALF);
	shadow_test_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 0));
	memset(buffer->cpu + SHADOW_TEST_HALF, 2, SHADOW_TEST_HALF);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 0, 0));
	shadow_test_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 1, 2));
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 1, 2));
}

/* Each end copies what has been written; the first does not end both. */
static void test_two_ends(struct kunit *test)
{
	struct dma_buf *dmabuf = shadow_test_export(test);
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	shadow_test_begin(test, dmabuf, DMA_TO_DEVICE);
	memset(buffer->cpu, 1, SHADOW_TEST_LEN);
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 1, 1));

	memset(buffer->cpu, 2, SHADOW_TEST_HALF);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 2, 1));
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 1, 1));
	shadow_test_end(test, dmabuf, DMA_TO_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->device, 2, 1));

	memset(buffer->device, 3, SHADOW_TEST_LEN);
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 3, 3));
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
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
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 0, 0));
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 1, 1));
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(camera->mem, 1, 1));

	shadow_test_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	memset(buffer->cpu, 2, SHADOW_TEST_HALF);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(camera->mem, 1, 1));

	/* somebody reads meanwhile */
	shadow_test_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(buffer->cpu, 2, 1));
	shadow_test_end(test, dmabuf, DMA_FROM_DEVICE);

	shadow_test_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, shadow_test_has(encoder->mem, 2, 1));
	KUNIT_EXPECT_TRUE(test, shadow_test_has(screen->mem, 2, 1));
	KUNIT_EXPECT_TRUE(test, shadow_test_has(camera->mem, 2, 1));

	dma_buf_detach(dmabuf, cpu_only);
}

/* What cannot be contiguous is refused, without a message in the log. */
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
	KUNIT_CASE(test_reader),
	KUNIT_CASE(test_writer),
	KUNIT_CASE(test_reader_and_writer),
	KUNIT_CASE(test_two_writers),
	KUNIT_CASE(test_two_ends),
	KUNIT_CASE(test_devices),
	KUNIT_CASE(test_too_large),
	{}
};

static struct kunit_suite shadow_heap_test_suite = {
	.name = "dma-buf-shadow-heap",
	.test_cases = shadow_heap_cases,
};

kunit_test_suite(shadow_heap_test_suite);
