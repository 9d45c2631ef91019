// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMABUF Shadow heap exporter
 *
 * A heap for tests. It has two copies of each buffer, one for devices and one
 * for the CPU. Only dma_buf_begin_cpu_access() and dma_buf_end_cpu_access()
 * make them equal. So code that omits these calls, or gets them wrong, finds
 * wrong data on any machine, and not only where the caches of the CPU are not
 * coherent with devices.
 */

#include <linux/cleanup.h>
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

/*
 * Each segment may get a bounce buffer. Bounce buffers of a page are likely to
 * be adjacent. Longer ones have gaps between them, so importers that need a
 * contiguous mapping refuse the buffer.
 */
#define SHADOW_SEGMENT	PAGE_SIZE

/**
 * struct shadow_heap_buffer - a buffer of the shadow heap
 * @mappings: of @device; its lock also serializes all copying
 * @len: size of each copy, whole pages
 * @device: what devices see, physically contiguous
 * @cpu: what the CPU sees, virtually contiguous
 * @begins: calls of dma_buf_ops.begin_cpu_access
 * @ends: calls of dma_buf_ops.end_cpu_access
 * @dir: debugfs directory, whose name is the inode number of the dma-buf
 */
struct shadow_heap_buffer {
	struct dma_buf_mappings mappings;
	size_t len;
	void *device;
	void *cpu;
	u32 begins;
	u32 ends;
	struct dentry *dir;
};

static struct dentry *shadow_heap_dir;

static struct sg_table *
shadow_heap_map_dma_buf(struct dma_buf_attachment *attachment,
			enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = attachment->dmabuf->priv;
	struct scatterlist *sg;
	struct sg_table *sgt;
	size_t offset = 0;
	int ret, i;

	sgt = kzalloc_obj(*sgt);
	if (!sgt)
		return ERR_PTR(-ENOMEM);

	ret = sg_alloc_table(sgt, buffer->len / SHADOW_SEGMENT, GFP_KERNEL);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}

	for_each_sgtable_sg(sgt, sg, i) {
		sg_set_buf(sg, buffer->device + offset, SHADOW_SEGMENT);
		offset += SHADOW_SEGMENT;
	}

	return dma_buf_mappings_map(&buffer->mappings, attachment->dev, sgt,
				    direction, 0);
}

static void shadow_heap_unmap_dma_buf(struct dma_buf_attachment *attachment,
				      struct sg_table *sgt,
				      enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = attachment->dmabuf->priv;

	dma_buf_mappings_unmap(&buffer->mappings, sgt);
}

/* Updates the devices' copy with what devices wrote. */
static void shadow_heap_sync_for_cpu(struct shadow_heap_buffer *buffer)
{
	struct dma_buf_mapping *m;

	lockdep_assert_held(&buffer->mappings.lock);

	list_for_each_entry(m, &buffer->mappings.list, node)
		if (m->dir != DMA_TO_DEVICE)
			dma_sync_sgtable_for_cpu(m->dev, m->sgt, m->dir);
}

/* Makes the devices' copy visible to devices. */
static void shadow_heap_sync_for_device(struct shadow_heap_buffer *buffer)
{
	struct dma_buf_mapping *m;

	lockdep_assert_held(&buffer->mappings.lock);

	list_for_each_entry(m, &buffer->mappings.list, node)
		dma_sync_sgtable_for_device(m->dev, m->sgt, m->dir);
}

/*
 * The CPU's copy belongs to those who write to it. The core counts the caller
 * only after this, but under the same lock and before the caller writes: what
 * is copied over here is nobody's.
 */
static int shadow_heap_begin_cpu_access(struct dma_buf *dmabuf,
					enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	guard(mutex)(&buffer->mappings.lock);

	buffer->begins++;
	if (!buffer->mappings.writers) {
		shadow_heap_sync_for_cpu(buffer);
		memcpy(buffer->cpu, buffer->device, buffer->len);
	}

	return 0;
}

/*
 * The core also syncs for devices, but only after it has taken the lock again.
 * By then, others could have copied back the old data of a bounce buffer.
 */
static int shadow_heap_end_cpu_access(struct dma_buf *dmabuf,
				      enum dma_data_direction direction)
{
	struct shadow_heap_buffer *buffer = dmabuf->priv;

	guard(mutex)(&buffer->mappings.lock);

	buffer->ends++;
	if (direction != DMA_FROM_DEVICE) {
		memcpy(buffer->device, buffer->cpu, buffer->len);
		shadow_heap_sync_for_device(buffer);
	}

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

	/* waits until no file in it is in use */
	debugfs_remove(buffer->dir);
	shadow_heap_free(buffer);
}

static const struct dma_buf_ops shadow_heap_buf_ops = {
	.cpu_access_nowait = true,
	.map_dma_buf = shadow_heap_map_dma_buf,
	.unmap_dma_buf = shadow_heap_unmap_dma_buf,
	.begin_cpu_access = shadow_heap_begin_cpu_access,
	.end_cpu_access = shadow_heap_end_cpu_access,
	.mmap = shadow_heap_mmap,
	.vmap = shadow_heap_vmap,
	.release = shadow_heap_release,
};

/*
 * Reads and writes of this file act as a device would, so they sync the
 * mappings of devices. User memory is copied without the lock, which nests
 * inside reservation locks.
 */
static ssize_t shadow_heap_device_read(struct file *file, char __user *to,
				       size_t count, loff_t *ppos)
{
	struct shadow_heap_buffer *buffer = file->private_data;

	mutex_lock(&buffer->mappings.lock);
	shadow_heap_sync_for_cpu(buffer);
	mutex_unlock(&buffer->mappings.lock);

	return simple_read_from_buffer(to, count, ppos, buffer->device,
				       buffer->len);
}

static ssize_t shadow_heap_device_write(struct file *file,
					const char __user *from, size_t count,
					loff_t *ppos)
{
	struct shadow_heap_buffer *buffer = file->private_data;
	ssize_t ret;

	mutex_lock(&buffer->mappings.lock);
	shadow_heap_sync_for_cpu(buffer);
	mutex_unlock(&buffer->mappings.lock);

	ret = simple_write_to_buffer(buffer->device, buffer->len, ppos, from,
				     count);

	mutex_lock(&buffer->mappings.lock);
	shadow_heap_sync_for_device(buffer);
	mutex_unlock(&buffer->mappings.lock);

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

	dma_buf_mappings_init(&buffer->mappings);
	buffer->len = len;

	/* Contiguous, for importers that need that. Large sizes fail. */
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

	exp_info.exp_name = "shadow";
	exp_info.ops = &shadow_heap_buf_ops;
	exp_info.size = len;
	exp_info.flags = flags;
	exp_info.priv = buffer;
	exp_info.mappings = &buffer->mappings;
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
