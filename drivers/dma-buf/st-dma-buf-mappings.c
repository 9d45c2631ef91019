// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for struct dma_buf_mappings: what the CPU and devices see of a
 * piece of memory when they access it in turn and at the same time.
 *
 * Each device has its own copy of the memory, as with a bounce buffer. A sync
 * at the wrong time or in the wrong direction loses what was written. The
 * memory holds a short text, of which each writer writes a letter.
 */

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/dma-map-ops.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/linux/dma-buf.h>

#define MOCK_ROUNDS	1000

/* Only a failing test waits this long. */
#define MOCK_LIMIT	(10 * HZ)

/* The memory, and how its exporter behaves. */
struct mock_memory {
	struct dma_buf_mappings mappings;
	char *cpu;
	int begin_error;
	int end_error;
	bool begin_waits;
	struct completion begin_waiting;
	struct completion begin_may_return;
};

struct mock_device {
	struct kunit *test;
	struct device *dev;
	struct dma_buf_attachment *attach;
	struct sg_table *sgt;
	enum dma_data_direction dir;
	int map_error;
	bool cpu_caches;
	bool cached;
};

/* A mapping for a device. Its DMA address is that of the copy. */
struct mock_mapping {
	char *cpu;
	enum dma_data_direction dir;
	char copy[PAGE_SIZE];
};

static void *mock_copy(struct scatterlist *sgl)
{
	return (void *)(unsigned long)sg_dma_address(sgl);
}

static void mock_to_device(struct mock_mapping *mapping,
			   enum dma_data_direction dir)
{
	/* Like an invalidate of caches, which drops what the CPU has written */
	if (dir == DMA_FROM_DEVICE)
		memcpy(mapping->cpu, mapping->copy, PAGE_SIZE);
	else
		memcpy(mapping->copy, mapping->cpu, PAGE_SIZE);
}

static void mock_to_cpu(struct mock_mapping *mapping,
			enum dma_data_direction dir)
{
	if (dir != DMA_TO_DEVICE)
		memcpy(mapping->cpu, mapping->copy, PAGE_SIZE);
}

/* The DMA API requires the same direction each time. */
static struct mock_mapping *mock_find(struct device *dev,
				      struct scatterlist *sgl,
				      enum dma_data_direction dir)
{
	struct mock_device *device = dev_get_drvdata(dev);
	struct mock_mapping *mapping;

	mapping = container_of(mock_copy(sgl), struct mock_mapping, copy);
	KUNIT_EXPECT_EQ(device->test, mapping->dir, dir);

	return mapping;
}

static int mock_map_sg(struct device *dev, struct scatterlist *sgl, int nents,
		       enum dma_data_direction dir, unsigned long attrs)
{
	struct mock_device *device = dev_get_drvdata(dev);
	struct mock_mapping *mapping;

	if (device->map_error)
		return device->map_error;

	mapping = kunit_kzalloc(device->test, sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return -ENOMEM;

	mapping->cpu = sg_virt(sgl);
	mapping->dir = dir;
	strscpy(mapping->copy, "##");
	if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		mock_to_device(mapping, dir);
	sg_dma_address(sgl) = (unsigned long)mapping->copy;
	sg_dma_len(sgl) = PAGE_SIZE;

	return 1;
}

static void mock_unmap_sg(struct device *dev, struct scatterlist *sgl,
			  int nents, enum dma_data_direction dir,
			  unsigned long attrs)
{
	struct mock_device *device = dev_get_drvdata(dev);
	struct mock_mapping *mapping = mock_find(dev, sgl, dir);

	if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		mock_to_cpu(mapping, dir);
	kunit_kfree(device->test, mapping);
}

static void mock_sync_sg_for_cpu(struct device *dev, struct scatterlist *sgl,
				 int nents, enum dma_data_direction dir)
{
	struct mock_device *device = dev_get_drvdata(dev);

	/* The access that begins only reads what is not in the cache. */
	if (!device->cached)
		mock_to_cpu(mock_find(dev, sgl, dir), dir);
	device->cached = device->cpu_caches;
}

static void mock_sync_sg_for_device(struct device *dev, struct scatterlist *sgl,
				    int nents, enum dma_data_direction dir)
{
	struct mock_device *device = dev_get_drvdata(dev);

	/* ... except at the end of a read, if the mapping is bidirectional */
	mock_to_device(mock_find(dev, sgl, dir == DMA_FROM_DEVICE ?
				 DMA_BIDIRECTIONAL : dir), dir);
	device->cached = false;
}

static const struct dma_map_ops mock_dma_ops = {
	.map_sg = mock_map_sg,
	.unmap_sg = mock_unmap_sg,
	.sync_sg_for_cpu = mock_sync_sg_for_cpu,
	.sync_sg_for_device = mock_sync_sg_for_device,
};

static struct sg_table *mock_map_dma_buf(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	struct mock_memory *mem = attach->dmabuf->priv;
	struct sg_table *sgt;

	sgt = kzalloc_obj(*sgt);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	if (sg_alloc_table(sgt, 1, GFP_KERNEL)) {
		kfree(sgt);
		return ERR_PTR(-ENOMEM);
	}

	sg_set_page(sgt->sgl, virt_to_page(mem->cpu), PAGE_SIZE, 0);

	return dma_buf_mappings_map(&mem->mappings, attach->dev, sgt, dir, 0);
}

static void mock_unmap_dma_buf(struct dma_buf_attachment *attach,
			       struct sg_table *sgt,
			       enum dma_data_direction dir)
{
	struct mock_memory *mem = attach->dmabuf->priv;

	dma_buf_mappings_unmap(&mem->mappings, sgt);
}

static int mock_begin_cpu_access(struct dma_buf *dmabuf,
				 enum dma_data_direction dir)
{
	struct mock_memory *mem = dmabuf->priv;

	if (mem->begin_waits) {
		complete(&mem->begin_waiting);
		wait_for_completion(&mem->begin_may_return);
	}

	return mem->begin_error;
}

static int mock_end_cpu_access(struct dma_buf *dmabuf,
			       enum dma_data_direction dir)
{
	struct mock_memory *mem = dmabuf->priv;

	return mem->end_error;
}

static void mock_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops mock_ops = {
	.map_dma_buf = mock_map_dma_buf,
	.unmap_dma_buf = mock_unmap_dma_buf,
	.begin_cpu_access = mock_begin_cpu_access,
	.end_cpu_access = mock_end_cpu_access,
	.release = mock_release,
};

/* Replaces the whole text. */
static void mock_write(char *where, const char *text)
{
	strscpy(where, text, PAGE_SIZE);
}

static struct mock_memory *mock_memory(struct kunit *test)
{
	struct mock_memory *mem;

	mem = kunit_kzalloc(test, sizeof(*mem), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mem);
	mem->cpu = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mem->cpu);
	mock_write(mem->cpu, "--");
	dma_buf_mappings_init(&mem->mappings);
	init_completion(&mem->begin_waiting);
	init_completion(&mem->begin_may_return);

	return mem;
}

/* Unlike dma_buf_put(), releases the buffer at once. */
static void mock_put(void *data)
{
	struct dma_buf *dmabuf = data;

	__fput_sync(dmabuf->file);
}

static struct dma_buf *mock_export_mappings(struct kunit *test,
					    struct mock_memory *mem,
					    struct dma_buf_mappings *mappings)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;

	exp_info.ops = &mock_ops;
	exp_info.size = PAGE_SIZE;
	exp_info.flags = O_RDWR;
	exp_info.priv = mem;
	exp_info.mappings = mappings;

	dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_put, dmabuf));

	return dmabuf;
}

static struct dma_buf *mock_export(struct kunit *test, struct mock_memory *mem)
{
	return mock_export_mappings(test, mem, &mem->mappings);
}

static void mock_detach(void *data)
{
	struct dma_buf_attachment *attach = data;

	dma_buf_detach(attach->dmabuf, attach);
}

static struct mock_device *mock_attach(struct kunit *test,
				       struct dma_buf *dmabuf, const char *name)
{
	struct mock_device *device;

	if (!IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS))
		kunit_skip(test, "a mock of a device needs dma_map_ops");

	device = kunit_kzalloc(test, sizeof(*device), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, device);
	device->test = test;
	device->dev = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, device->dev);
	dev_set_drvdata(device->dev, device);
	set_dma_ops(device->dev, &mock_dma_ops);

	device->attach = dma_buf_attach(dmabuf, device->dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, device->attach);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_detach,
						  device->attach));

	return device;
}

/* Maps for the device, and returns what it sees and writes to. */
static char *mock_map(struct kunit *test, struct mock_device *device,
		      enum dma_data_direction dir)
{
	device->dir = dir;
	device->sgt = dma_buf_map_attachment_unlocked(device->attach, dir);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, device->sgt);

	return mock_copy(device->sgt->sgl);
}

static void mock_unmap(struct mock_device *device)
{
	dma_buf_unmap_attachment_unlocked(device->attach, device->sgt,
					  device->dir);
}

static void mock_begin(struct kunit *test, struct dma_buf *dmabuf,
		       enum dma_data_direction dir)
{
	KUNIT_EXPECT_EQ(test, 0, dma_buf_begin_cpu_access(dmabuf, dir));
}

static void mock_end(struct kunit *test, struct dma_buf *dmabuf,
		     enum dma_data_direction dir)
{
	KUNIT_EXPECT_EQ(test, 0, dma_buf_end_cpu_access(dmabuf, dir));
}

/* A reader that comes and goes. */
static void mock_read(struct kunit *test, struct dma_buf *dmabuf)
{
	mock_begin(test, dmabuf, DMA_FROM_DEVICE);
	mock_end(test, dmabuf, DMA_FROM_DEVICE);
}

/* The user space address of the argument of an ioctl. */
static struct dma_buf_sync __user *mock_user(struct kunit *test)
{
	unsigned long addr;

	if (!IS_ENABLED(CONFIG_MMU))
		kunit_skip(test, "no user space without an MMU");

	addr = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_ASSERT_LT(test, addr, TASK_SIZE);

	return (struct dma_buf_sync __user *)addr;
}

static void mock_ioctl(struct kunit *test, struct dma_buf *dmabuf,
		       struct dma_buf_sync __user *arg, u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };
	struct file *file = dmabuf->file;

	KUNIT_EXPECT_EQ(test, 0, copy_to_user(arg, &sync, sizeof(sync)));
	KUNIT_EXPECT_EQ(test, 0,
			file->f_op->unlocked_ioctl(file, DMA_BUF_IOCTL_SYNC,
						   (unsigned long)arg));
}

/* What a device writes is seen, and what the CPU writes is not dropped. */
static void test_from_device(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "--");

	mock_write(seen, "dd");
	mock_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
	mock_end(test, dmabuf, DMA_FROM_DEVICE);

	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	mem->cpu[0] = 'w';
	mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wd");
	KUNIT_EXPECT_STREQ(test, seen, "wd");

	/* the owner of the memory needs no dma-buf for it */
	mock_write(seen, "ee");
	dma_buf_mappings_begin(&mem->mappings, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");
	mem->cpu[1] = 'v';
	dma_buf_mappings_end(&mem->mappings, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ev");
	KUNIT_EXPECT_STREQ(test, seen, "ev");

	mock_unmap(camera);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ev");
}

/*
 * The copy of a device that only reads is never copied back, whether its
 * mapping is older or newer than that of the device that writes.
 */
static void test_to_device(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *older = mock_attach(test, dmabuf, "older");
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	struct mock_device *newer = mock_attach(test, dmabuf, "newer");
	char *seen_older, *seen, *seen_newer;

	seen_older = mock_map(test, older, DMA_TO_DEVICE);
	seen = mock_map(test, camera, DMA_FROM_DEVICE);
	seen_newer = mock_map(test, newer, DMA_TO_DEVICE);

	mock_write(seen, "dd");
	mock_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
	mock_end(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");

	mock_write(seen, "ee");
	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");
	mem->cpu[0] = 'w';
	mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "we");
	KUNIT_EXPECT_STREQ(test, seen_older, "we");
	KUNIT_EXPECT_STREQ(test, seen, "we");
	KUNIT_EXPECT_STREQ(test, seen_newer, "we");

	mock_write(seen, "ff");
	mock_unmap(camera);
	mock_unmap(older);
	mock_unmap(newer);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ff");
}

/*
 * A CPU that drops cached data when it syncs for a device, and does nothing
 * when it syncs for the CPU, sees each frame.
 */
static void test_read_twice(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	struct dma_buf_sync __user *arg = mock_user(test);
	char *seen;

	camera->cpu_caches = true;
	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mock_write(seen, "dd");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
	mock_write(seen, "ee");
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	mock_write(seen, "ff");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ff");

	mock_unmap(camera);
}

/* A reader that begins loses nothing of what is being written. */
static void test_read_during_write(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct dma_buf *other = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	mem->cpu[0] = 'w';

	mock_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");
	mock_end(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");

	/* neither did the reader end the write */
	mock_begin(test, other, DMA_FROM_DEVICE);
	dma_buf_mappings_begin(&mem->mappings, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");

	mem->cpu[1] = 'x';
	mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
	KUNIT_EXPECT_STREQ(test, seen, "wx");

	dma_buf_mappings_end(&mem->mappings, DMA_FROM_DEVICE);
	mock_end(test, other, DMA_FROM_DEVICE);

	mock_write(seen, "dd");
	mock_begin(test, dmabuf, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
	mock_end(test, dmabuf, DMA_FROM_DEVICE);

	mock_unmap(camera);
}

/* Two writers lose nothing until the last of them ends. */
static void test_two_writers(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct dma_buf *other = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	mem->cpu[0] = 'w';
	mock_begin(test, other, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");
	mem->cpu[1] = 'v';

	mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wv");
	KUNIT_EXPECT_STREQ(test, seen, "wv");

	mem->cpu[1] = 'x';
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
	mock_end(test, other, DMA_TO_DEVICE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
	KUNIT_EXPECT_STREQ(test, seen, "wx");

	mock_write(seen, "dd");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");

	mock_unmap(camera);
}

/* User space sees what a device writes, and the device what it writes. */
static void test_ioctl(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	struct dma_buf_sync __user *arg = mock_user(test);
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mock_write(seen, "dd");
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);

	mock_write(seen, "ee");
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");
	mem->cpu[0] = 'u';
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ue");
	KUNIT_EXPECT_STREQ(test, seen, "ue");

	mock_unmap(camera);
}

/* User space begins and ends while a driver writes, and nobody loses. */
static void test_ioctl_during_write(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	struct dma_buf_sync __user *arg = mock_user(test);
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	mem->cpu[0] = 'w';

	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");

	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");
	mem->cpu[1] = 'u';
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wu");
	KUNIT_EXPECT_STREQ(test, seen, "wu");

	/* the driver goes on to write */
	mem->cpu[0] = 'x';
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "xu");
	mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "xu");
	KUNIT_EXPECT_STREQ(test, seen, "xu");

	mock_unmap(camera);
}

/* Calls that user space omits or repeats do not affect anybody else. */
static void test_ioctl_unpaired(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	struct dma_buf_sync __user *arg = mock_user(test);
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	mock_write(seen, "dd");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");

	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	mem->cpu[0] = 'w';
	mock_ioctl(test, dmabuf, arg, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	mem->cpu[1] = 'x';
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
	mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, seen, "wx");

	mock_write(seen, "ee");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");

	mock_unmap(camera);
}

/* A device unmaps @dmabuf while @writer, or else the owner, writes. */
static void mock_unmap_during_write(struct kunit *test, struct mock_memory *mem,
				    struct dma_buf *dmabuf,
				    struct dma_buf *writer)
{
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	struct mock_device *display = mock_attach(test, dmabuf, "display");
	char *seen;

	mock_map(test, camera, DMA_FROM_DEVICE);
	seen = mock_map(test, display, DMA_TO_DEVICE);

	if (writer)
		mock_begin(test, writer, DMA_BIDIRECTIONAL);
	else
		dma_buf_mappings_begin(&mem->mappings, DMA_BIDIRECTIONAL);

	mem->cpu[0] = 'w';
	mock_unmap(camera);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");
	mem->cpu[1] = 'x';

	if (writer)
		mock_end(test, writer, DMA_BIDIRECTIONAL);
	else
		dma_buf_mappings_end(&mem->mappings, DMA_BIDIRECTIONAL);

	KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
	KUNIT_EXPECT_STREQ(test, seen, "wx");

	mock_unmap(display);
	KUNIT_EXPECT_TRUE(test, list_empty(&mem->mappings.list));

	/* the next unmap, without a writer, syncs again */
	seen = mock_map(test, camera, DMA_FROM_DEVICE);
	KUNIT_EXPECT_STREQ(test, seen, "wx");
	mock_write(seen, "dd");
	mock_unmap(camera);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
}

/* A driver writes to the dma-buf that is unmapped. */
static void test_unmap_during_write(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);

	mock_unmap_during_write(test, mem, dmabuf, dmabuf);
}

/* The owner writes without a dma-buf. */
static void test_unmap_during_write_owner(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);

	mock_unmap_during_write(test, mem, dmabuf, NULL);
}

/* A driver writes to another dma-buf of the same memory. */
static void test_unmap_during_write_other(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct dma_buf *other = mock_export(test, mem);

	mock_unmap_during_write(test, mem, dmabuf, other);
}

/* A device that comes in the middle of a write sees it all in the end. */
static void test_map_during_write(struct kunit *test)
{
	static const enum dma_data_direction dirs[] = {
		DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_BIDIRECTIONAL,
	};
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct dma_buf *other = mock_export(test, mem);
	struct mock_device *device = mock_attach(test, other, "device");
	char *seen;
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		mock_write(mem->cpu, "--");

		mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
		mem->cpu[0] = 'w';
		seen = mock_map(test, device, dirs[i]);
		KUNIT_EXPECT_STREQ(test, mem->cpu, "w-");
		KUNIT_EXPECT_STREQ(test, seen, "w-");

		mem->cpu[1] = 'x';
		mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
		KUNIT_EXPECT_STREQ(test, seen, "wx");

		mock_unmap(device);
		KUNIT_EXPECT_STREQ(test, mem->cpu, "wx");
	}
}

/* When nobody writes, unmapping syncs what a device wrote. */
static void test_unmap(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *device = mock_attach(test, dmabuf, "device");
	char *seen;

	seen = mock_map(test, device, DMA_FROM_DEVICE);
	mock_write(seen, "dd");
	mock_unmap(device);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");

	/* even while somebody reads */
	seen = mock_map(test, device, DMA_BIDIRECTIONAL);
	mock_begin(test, dmabuf, DMA_FROM_DEVICE);
	mock_write(seen, "ee");
	mock_unmap(device);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");
	mock_end(test, dmabuf, DMA_FROM_DEVICE);
}

/* A failed mapping leaves nothing behind, and the next one succeeds. */
static void test_map_error(struct kunit *test)
{
	static const int errors[] = { -ENOMEM, -EREMOTEIO, -EIO };
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *device = mock_attach(test, dmabuf, "device");
	struct sg_table *sgt;
	char *seen;
	int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		device->map_error = errors[i];
		sgt = dma_buf_map_attachment_unlocked(device->attach,
						      DMA_FROM_DEVICE);
		KUNIT_EXPECT_PTR_EQ(test, sgt, ERR_PTR(errors[i] == -EIO ?
						       -ENOMEM : errors[i]));
		KUNIT_EXPECT_TRUE(test, list_empty(&mem->mappings.list));
		KUNIT_EXPECT_STREQ(test, mem->cpu, "--");
	}

	device->map_error = 0;
	seen = mock_map(test, device, DMA_FROM_DEVICE);
	mock_write(seen, "dd");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");

	mock_unmap(device);
	KUNIT_EXPECT_TRUE(test, list_empty(&mem->mappings.list));
}

/* A device maps twice, and it does not matter which it unmaps first. */
static void test_map_twice(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *device = mock_attach(test, dmabuf, "device");
	struct sg_table *sgt[2];
	char *seen[2];
	int first, last, i;

	for (first = 0; first < 2; first++) {
		last = !first;

		for (i = 0; i < 2; i++) {
			seen[i] = mock_map(test, device, DMA_FROM_DEVICE);
			sgt[i] = device->sgt;
		}
		KUNIT_EXPECT_PTR_NE(test, seen[0], seen[1]);

		mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
		mock_write(mem->cpu, "ww");
		mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_STREQ(test, seen[first], "ww");
		KUNIT_EXPECT_STREQ(test, seen[last], "ww");

		mock_write(seen[first], "dd");
		dma_buf_unmap_attachment_unlocked(device->attach, sgt[first],
						  DMA_FROM_DEVICE);
		KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");

		mock_write(seen[last], "ee");
		mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");
		mem->cpu[0] = 'x';
		mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_STREQ(test, seen[last], "xe");

		mock_write(seen[last], "ff");
		dma_buf_unmap_attachment_unlocked(device->attach, sgt[last],
						  DMA_FROM_DEVICE);
		KUNIT_EXPECT_STREQ(test, mem->cpu, "ff");
		KUNIT_EXPECT_TRUE(test, list_empty(&mem->mappings.list));
	}
}

/* A begin that fails has not begun, but an end that fails has ended. */
static void test_exporter_error(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *camera = mock_attach(test, dmabuf, "camera");
	char *seen;

	seen = mock_map(test, camera, DMA_FROM_DEVICE);

	mem->begin_error = -EIO;
	KUNIT_EXPECT_EQ(test, -EIO,
			dma_buf_begin_cpu_access(dmabuf, DMA_BIDIRECTIONAL));
	mem->begin_error = 0;

	mock_write(seen, "dd");
	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "dd");
	mem->cpu[0] = 'w';

	mem->end_error = -EIO;
	KUNIT_EXPECT_EQ(test, -EIO,
			dma_buf_end_cpu_access(dmabuf, DMA_BIDIRECTIONAL));
	mem->end_error = 0;
	KUNIT_EXPECT_STREQ(test, seen, "wd");

	mock_write(seen, "ee");
	mock_read(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, mem->cpu, "ee");

	mock_unmap(camera);
}

/* A thread that runs at the same time as the test. */
struct mock_thread {
	struct work_struct work;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	int ret;
	struct completion done;
};

KUNIT_DEFINE_ACTION_WRAPPER(mock_destroy_workqueue, destroy_workqueue,
			    struct workqueue_struct *);

static struct mock_thread *mock_thread(struct kunit *test,
				       struct dma_buf *dmabuf, work_func_t func)
{
	struct mock_thread *thread;

	thread = kunit_kzalloc(test, sizeof(*thread), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, thread);
	INIT_WORK(&thread->work, func);
	init_completion(&thread->done);
	thread->dmabuf = dmabuf;

	return thread;
}

/* Waits for its threads at the end of the test. */
static struct workqueue_struct *mock_workqueue(struct kunit *test)
{
	struct workqueue_struct *wq;

	wq = alloc_workqueue("dma-buf-mappings", WQ_UNBOUND, 0);
	KUNIT_ASSERT_NOT_NULL(test, wq);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_destroy_workqueue,
						  wq));

	return wq;
}

static void mock_begin_read_work(struct work_struct *work)
{
	struct mock_thread *thread = container_of(work, struct mock_thread,
						  work);

	thread->ret = dma_buf_begin_cpu_access(thread->dmabuf, DMA_FROM_DEVICE);
	complete(&thread->done);
}

static void mock_end_write_work(struct work_struct *work)
{
	struct mock_thread *thread = container_of(work, struct mock_thread,
						  work);

	thread->ret = dma_buf_end_cpu_access(thread->dmabuf, DMA_BIDIRECTIONAL);
	complete(&thread->done);
}

/* An access ends while the begin of another one waits in the exporter. */
static void mock_end_during_begin(struct kunit *test, struct dma_buf *dmabuf)
{
	struct mock_memory *mem = dmabuf->priv;
	struct mock_thread *reader, *writer;
	struct workqueue_struct *wq;

	reader = mock_thread(test, dmabuf, mock_begin_read_work);
	writer = mock_thread(test, dmabuf, mock_end_write_work);
	wq = mock_workqueue(test);

	mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
	mem->cpu[0] = 'w';

	/* nothing may end the test while the reader waits for it */
	mem->begin_waits = true;
	queue_work(wq, &reader->work);
	KUNIT_EXPECT_NE(test, 0,
			wait_for_completion_timeout(&mem->begin_waiting,
						    MOCK_LIMIT));

	queue_work(wq, &writer->work);
	KUNIT_EXPECT_NE(test, 0,
			wait_for_completion_timeout(&writer->done, MOCK_LIMIT));
	KUNIT_EXPECT_FALSE(test, completion_done(&reader->done));

	complete(&mem->begin_may_return);
	flush_work(&writer->work);
	flush_work(&reader->work);
	KUNIT_EXPECT_EQ(test, writer->ret, 0);
	KUNIT_EXPECT_EQ(test, reader->ret, 0);
	mem->begin_waits = false;

	mock_end(test, dmabuf, DMA_FROM_DEVICE);
}

static void test_end_during_begin(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct mock_device *display = mock_attach(test, dmabuf, "display");
	char *seen;

	seen = mock_map(test, display, DMA_TO_DEVICE);
	mock_end_during_begin(test, dmabuf);
	KUNIT_EXPECT_STREQ(test, seen, "w-");
	mock_unmap(display);
}

/* The same for an exporter that syncs its memory itself. */
static void test_end_during_begin_no_mappings(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);

	mock_end_during_begin(test, mock_export_mappings(test, mem, NULL));
}

/* Maps, reads and unmaps over and over. */
static void mock_disturb_work(struct work_struct *work)
{
	struct mock_thread *thread = container_of(work, struct mock_thread,
						  work);
	struct sg_table *sgt;
	int ret = 0, i;

	for (i = 0; i < MOCK_ROUNDS && !ret; i++) {
		sgt = dma_buf_map_attachment_unlocked(thread->attach,
						      DMA_FROM_DEVICE);
		if (IS_ERR(sgt)) {
			ret = PTR_ERR(sgt);
			break;
		}

		ret = dma_buf_begin_cpu_access(thread->dmabuf, DMA_FROM_DEVICE);
		if (!ret)
			ret = dma_buf_end_cpu_access(thread->dmabuf,
						     DMA_FROM_DEVICE);

		dma_buf_unmap_attachment_unlocked(thread->attach, sgt,
						  DMA_FROM_DEVICE);
		cond_resched();
	}

	thread->ret = ret;
	complete(&thread->done);
}

/* No write loses anything, and a device sees all of it. */
static void test_threads(struct kunit *test)
{
	struct mock_memory *mem = mock_memory(test);
	struct dma_buf *dmabuf = mock_export(test, mem);
	struct dma_buf *other = mock_export(test, mem);
	struct mock_device *device = mock_attach(test, dmabuf, "device");
	struct mock_device *guest = mock_attach(test, other, "guest");
	int rounds = 0, lost = 0, unseen = 0;
	struct workqueue_struct *wq;
	struct mock_thread *thread;
	char *seen;

	thread = mock_thread(test, other, mock_disturb_work);
	thread->attach = guest->attach;
	wq = mock_workqueue(test);
	seen = mock_map(test, device, DMA_BIDIRECTIONAL);

	queue_work(wq, &thread->work);
	do {
		mock_begin(test, dmabuf, DMA_BIDIRECTIONAL);
		memset(mem->cpu, rounds, PAGE_SIZE);
		cond_resched();
		if (memchr_inv(mem->cpu, rounds, PAGE_SIZE))
			lost++;
		mock_end(test, dmabuf, DMA_BIDIRECTIONAL);
		if (memchr_inv(seen, rounds, PAGE_SIZE))
			unseen++;
	} while (++rounds < MOCK_ROUNDS || !completion_done(&thread->done));

	flush_work(&thread->work);
	mock_unmap(device);

	KUNIT_EXPECT_EQ(test, thread->ret, 0);
	KUNIT_EXPECT_EQ(test, lost, 0);
	KUNIT_EXPECT_EQ(test, unseen, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&mem->mappings.list));
}

static struct kunit_case dma_buf_mappings_cases[] = {
	KUNIT_CASE(test_from_device),
	KUNIT_CASE(test_to_device),
	KUNIT_CASE(test_read_twice),
	KUNIT_CASE(test_read_during_write),
	KUNIT_CASE(test_two_writers),
	KUNIT_CASE(test_ioctl),
	KUNIT_CASE(test_ioctl_during_write),
	KUNIT_CASE(test_ioctl_unpaired),
	KUNIT_CASE(test_unmap_during_write),
	KUNIT_CASE(test_unmap_during_write_owner),
	KUNIT_CASE(test_unmap_during_write_other),
	KUNIT_CASE(test_map_during_write),
	KUNIT_CASE(test_unmap),
	KUNIT_CASE(test_map_error),
	KUNIT_CASE(test_map_twice),
	KUNIT_CASE(test_exporter_error),
	KUNIT_CASE(test_end_during_begin),
	KUNIT_CASE(test_end_during_begin_no_mappings),
	KUNIT_CASE(test_threads),
	{}
};

static struct kunit_suite dma_buf_mappings_test_suite = {
	.name = "dma-buf-mappings",
	.test_cases = dma_buf_mappings_cases,
};

kunit_test_suite(dma_buf_mappings_test_suite);

MODULE_DESCRIPTION("KUnit tests for overlapping accesses to DMA-BUFs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
