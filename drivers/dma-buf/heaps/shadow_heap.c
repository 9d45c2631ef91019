// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMABUF Shadow heap exporter
 *
 * A heap for tests. It has two copies of each buffer, one for devices and one
 * for the CPU. They are made equal only by dma_buf_begin_cpu_access() and
 * dma_buf_end_cpu_access(), so the users of a buffer who forget these, or get
 * them wrong, find wrong data on any machine, and not only where the caches of
 * the CPU are not coherent with devices.
 */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/iosys-map.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

/* Fills the CPU's copy while the CPU has no business with the buffer. */
#define SHADOW_POISON	0xdb

/*
 * Each segment may get a bounce buffer. Those of a page are likely to follow
 * each other. Between longer ones there are gaps, and importers that want a
 * contiguous mapping refuse it.
 */
#define SHADOW_SEGMENT	PAGE_SIZE

/**
 * struct shadow_heap_buffer - a buffer of the shadow heap
 * @attachments: attachments of devices, protected by @lock
 * @lock: serializes CPU access with mapping and unmapping for devices
 * @len: size of each copy, whole pages
 * @device: what devices see, physically contiguous
 * @cpu: what the CPU sees, virtually contiguous
 * @begins: calls of dma_buf_ops.begin_cpu_access
 * @ends: calls of dma_buf_ops.end_cpu_access, wrong ones included
 * @underflows: ends for reading or for writing that had no begin
 * @readers: begins for reading only that have not ended
 * @writers: begins for writing, or both, that have not ended
 * @dir: debugfs directory, whose name is the inode number of the dma-buf
 *
 * What counts is protected by @lock; debugfs reads it without.
 */
struct shadow_heap_buffer {
	struct list_head attachments;
	struct mutex lock;	/* access and mapping, see above */
	size_t len;
	void *device;
	void *cpu;
	u32 begins;
	u32 ends;
	u32 underflows;
	u32 readers;
	u32 writers;
	struct dentry *dir;
};

struct shadow_heap_attachment {
	struct device *dev;
	struct sg_table table;
	struct list_head list;
	enum dma_data_direction dir;	/* DMA_NONE while not mapped */
};

static struct dentry *shadow_heap_dir;

/* Of all buffers, also those that are gone. */
static atomic_t shadow_heap_underflows = ATOMIC_INIT(0);
static atomic_t shadow_heap_leaks = ATOMIC_INIT(0);

static int shadow_heap_attach(struct dma_buf *dmabuf,
			      struct dma_buf_attachment *attachment)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	struct shadow_heap_attachment *a;
	struct scatterlist *sg;
	size_t offset = 0;
	int ret, i;

	/* never mapped, never synced */
	if (!attachment->dev)
		return 0;

	a = kzalloc_obj(*a);
	if (!a)
		return -ENOMEM;

	ret = sg_alloc_table(&a->table,
			     buffer->len / SHADOW_SEGMENT, GFP_KERNEL);
	if (ret) {
		kfree(a);
		return ret;
	}

	for_each_sgtable_sg(&a->table, sg, i) {
		sg_set_buf(sg, buffer->device + offset, SHADOW_SEGMENT);
		offset += SHADOW_SEGMENT;
	}

	a->dev = attachment->dev;
	a->dir = DMA_NONE;
	attachment->priv = a;

	mutex_lock(&buffer->lock);
	list_add(&a->list, &buffer->attachments);
	mutex_unlock(&buffer->lock);

	return 0;
}

static void shadow_heap_detach(struct dma_buf *dmabuf,
			       struct dma_buf_attachment *attachment)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	struct shadow_heap_attachment *a = attachment->priv;

	if (!a)
		return;

	mutex_lock(&buffer->lock);
	list_del(&a->list);
	mutex_unlock(&buffer->lock);

	sg_free_table(&a->table);
	kfree(a);
}

static struct sg_table *
shadow_heap_map_dma_buf(struct dma_buf_attachment *attachment,
			enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = attachment->dmabuf->priv;
	struct shadow_heap_attachment *a = attachment->priv;
	int ret;

	/* The CPU must not write to what is mapped DMA_FROM_DEVICE. */
	if (direction == DMA_FROM_DEVICE)
		direction = DMA_BIDIRECTIONAL;

	mutex_lock(&buffer->lock);
	ret = dma_map_sgtable(attachment->dev, &a->table, direction, 0);
	if (!ret)
		a->dir = direction;
	mutex_unlock(&buffer->lock);

	return ret ? ERR_PTR(ret) : &a->table;
}

static void shadow_heap_unmap_dma_buf(struct dma_buf_attachment *attachment,
				      struct sg_table *table,
				      enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = attachment->dmabuf->priv;
	struct shadow_heap_attachment *a = attachment->priv;

	mutex_lock(&buffer->lock);
	dma_unmap_sgtable(attachment->dev, table, a->dir, 0);
	a->dir = DMA_NONE;
	mutex_unlock(&buffer->lock);
}

/* Gets what devices wrote into the devices' copy. */
static void shadow_heap_sync_for_cpu(struct shadow_heap_buffer *buffer)
{
	struct shadow_heap_attachment *a;

	lockdep_assert_held(&buffer->lock);

	list_for_each_entry(a, &buffer->attachments, list) {
		if (a->dir == DMA_NONE || a->dir == DMA_TO_DEVICE)
			continue;
		dma_sync_sgtable_for_cpu(a->dev, &a->table, a->dir);
	}
}

/* Lets devices have what is in the devices' copy. */
static void shadow_heap_sync_for_device(struct shadow_heap_buffer *buffer)
{
	struct shadow_heap_attachment *a;

	lockdep_assert_held(&buffer->lock);

	list_for_each_entry(a, &buffer->attachments, list) {
		if (a->dir == DMA_NONE)
			continue;
		dma_sync_sgtable_for_device(a->dev, &a->table, a->dir);
	}
}

/*
 * The CPU's copy belongs to those who write to it until the last of them ends:
 * it is neither filled nor poisoned under them. Those who read get what devices
 * have written since others began to read.
 */
static int shadow_heap_begin_cpu_access(struct dma_buf *dmabuf,
					enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	mutex_lock(&buffer->lock);
	shadow_heap_sync_for_cpu(buffer);

	if (!buffer->writers) {
		if (direction != DMA_TO_DEVICE)
			memcpy(buffer->cpu, buffer->device, buffer->len);
		else if (!buffer->readers)
			memset(buffer->cpu, SHADOW_POISON, buffer->len);
	}

	buffer->begins++;
	if (direction == DMA_FROM_DEVICE)
		buffer->readers++;
	else
		buffer->writers++;
	mutex_unlock(&buffer->lock);

	return 0;
}

/*
 * What has not begun cannot end: the CPU's copy is poison, or belongs to others
 * who are not done with it. So this copies nothing, as the caller should see.
 */
static int shadow_heap_end_cpu_access(struct dma_buf *dmabuf,
				      enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	bool wrote = direction != DMA_FROM_DEVICE;
	u32 *users = wrote ? &buffer->writers : &buffer->readers;

	mutex_lock(&buffer->lock);
	buffer->ends++;
	if (!*users) {
		buffer->underflows++;
		atomic_inc(&shadow_heap_underflows);
		goto unlock;
	}
	--*users;

	if (wrote) {
		memcpy(buffer->device, buffer->cpu, buffer->len);
		shadow_heap_sync_for_device(buffer);
	}
	if (!buffer->readers && !buffer->writers)
		memset(buffer->cpu, SHADOW_POISON, buffer->len);
unlock:
	mutex_unlock(&buffer->lock);

	return 0;
}

static int shadow_heap_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	return remap_vmalloc_range(vma, buffer->cpu, vma->vm_pgoff);
}

static int shadow_heap_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	iosys_map_set_vaddr(map, buffer->cpu);

	return 0;
}

static void shadow_heap_free(struct shadow_heap_buffer *buffer)
{
	vfree(buffer->cpu);
	free_pages_exact(buffer->device, buffer->len);
	kfree(buffer);
}

static void shadow_heap_release(struct dma_buf *dmabuf)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	atomic_add(buffer->readers + buffer->writers, &shadow_heap_leaks);
	/* waits for those who have a file in it in use */
	debugfs_remove(buffer->dir);
	shadow_heap_free(buffer);
}

static const struct dma_buf_ops shadow_heap_buf_ops = {
	.attach = shadow_heap_attach,
	.detach = shadow_heap_detach,
	.map_dma_buf = shadow_heap_map_dma_buf,
	.unmap_dma_buf = shadow_heap_unmap_dma_buf,
	.begin_cpu_access = shadow_heap_begin_cpu_access,
	.end_cpu_access = shadow_heap_end_cpu_access,
	.mmap = shadow_heap_mmap,
	.vmap = shadow_heap_vmap,
	.release = shadow_heap_release,
};

/*
 * Reading and writing this file is what a device does, and so it goes through
 * what devices have mapped. User memory is copied without the lock, which nests
 * inside of reservation locks.
 */
static ssize_t shadow_heap_device_read(struct file *file, char __user *to,
				       size_t count, loff_t *ppos)
{
	struct shadow_heap_buffer *buffer = file->private_data;

	mutex_lock(&buffer->lock);
	shadow_heap_sync_for_cpu(buffer);
	mutex_unlock(&buffer->lock);

	return simple_read_from_buffer(to, count, ppos, buffer->device,
				       buffer->len);
}

static ssize_t shadow_heap_device_write(struct file *file,
					const char __user *from, size_t count,
					loff_t *ppos)
{
	struct shadow_heap_buffer *buffer = file->private_data;
	ssize_t ret;

	mutex_lock(&buffer->lock);
	shadow_heap_sync_for_cpu(buffer);
	mutex_unlock(&buffer->lock);

	ret = simple_write_to_buffer(buffer->device, buffer->len, ppos, from,
				     count);

	mutex_lock(&buffer->lock);
	shadow_heap_sync_for_device(buffer);
	mutex_unlock(&buffer->lock);

	return ret;
}

static const struct file_operations shadow_heap_device_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = shadow_heap_device_read,
	.write = shadow_heap_device_write,
	.llseek = default_llseek,
};

static void shadow_heap_add_debugfs(struct dma_buf *dmabuf)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;
	char name[24];

	snprintf(name, sizeof(name), "%llu",
		 (u64)file_inode(dmabuf->file)->i_ino);
	buffer->dir = debugfs_create_dir(name, shadow_heap_dir);
	debugfs_create_u32("begins", 0444, buffer->dir, &buffer->begins);
	debugfs_create_u32("ends", 0444, buffer->dir, &buffer->ends);
	debugfs_create_u32("underflows", 0444, buffer->dir,
			   &buffer->underflows);
	debugfs_create_u32("readers", 0444, buffer->dir, &buffer->readers);
	debugfs_create_u32("writers", 0444, buffer->dir, &buffer->writers);
	debugfs_create_file("device", 0600, buffer->dir, buffer,
			    &shadow_heap_device_fops);
}

static struct dma_buf *shadow_heap_export(size_t len, int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct shadow_heap_buffer *buffer;
	struct dma_buf *dmabuf;

	buffer = kzalloc_obj(*buffer);
	if (!buffer)
		return ERR_PTR(-ENOMEM);

	INIT_LIST_HEAD(&buffer->attachments);
	mutex_init(&buffer->lock);
	buffer->len = len;

	/* Importers may want it contiguous, so there is a size that fails. */
	buffer->device = alloc_pages_exact(len, GFP_KERNEL | __GFP_ZERO |
					   __GFP_NOWARN);
	if (!buffer->device) {
		kfree(buffer);
		return ERR_PTR(-ENOMEM);
	}
	buffer->cpu = vmalloc_user(len);
	if (!buffer->cpu) {
		shadow_heap_free(buffer);
		return ERR_PTR(-ENOMEM);
	}
	memset(buffer->cpu, SHADOW_POISON, len);

	exp_info.exp_name = "shadow";
	exp_info.ops = &shadow_heap_buf_ops;
	exp_info.size = len;
	exp_info.flags = flags;
	exp_info.priv = buffer;
	dmabuf = dma_buf_export(&exp_info);
	if (IS_ERR(dmabuf)) {
		shadow_heap_free(buffer);
		return dmabuf;
	}
	shadow_heap_add_debugfs(dmabuf);

	return dmabuf;
}

static struct dma_buf *shadow_heap_allocate(struct dma_heap *heap,
					    unsigned long len, u32 fd_flags,
					    u64 heap_flags)
{
	return shadow_heap_export(len, fd_flags);
}

static const struct dma_heap_ops shadow_heap_ops = {
	.allocate = shadow_heap_allocate,
};

static int __init shadow_heap_create(void)
{
	struct dma_heap_export_info exp_info = {
		.name = "shadow",
		.ops = &shadow_heap_ops,
	};
	struct dma_heap *heap;

	heap = dma_heap_add(&exp_info);
	if (IS_ERR(heap))
		return PTR_ERR(heap);

	shadow_heap_dir = debugfs_create_dir("dma_buf_shadow", NULL);
	debugfs_create_atomic_t("underflows", 0444, shadow_heap_dir,
				&shadow_heap_underflows);
	debugfs_create_atomic_t("leaks", 0444, shadow_heap_dir,
				&shadow_heap_leaks);

	return 0;
}
module_init(shadow_heap_create);

#if IS_BUILTIN(CONFIG_DMABUF_KUNIT_TEST)
#include "st-shadow-heap.c"
#endif

MODULE_DESCRIPTION("DMA-BUF Shadow Heap");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("DMA_BUF_HEAP");
