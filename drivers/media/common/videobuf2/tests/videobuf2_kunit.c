// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for videobuf2: a queue without hardware, with an allocator, a
 * driver and an exporter that only count what they are called for.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/videodev2.h>
#include <linux/workqueue.h>
#include <media/videobuf2-core.h>
#include <media/videobuf2-v4l2.h>

#define MAX_PLANES	2
#define MAX_DMABUFS	2

/* minimum size of a plane that the driver asks for */
#define MIN_SIZE	SZ_4K
#define SMALL		SZ_8K
#define LARGE		SZ_64K

/* The memory of a plane, and the calls of its exporter */
struct mock_memory {
	struct mock *mock;
	bool exported;		/* by an exporter that is called each time */
	bool has_mappings;
	struct dma_buf_mappings mappings;
	bool fenced;		/* somebody else has not finished */
	int begun;
	int ended;
	int begin_error;

	/* one byte, as devices and as the CPU see it */
	u8 device;
	u8 cpu;
};

struct mock {
	struct kunit *test;
	struct vb2_queue q;
	struct vb2_mem_ops mem_ops;
	struct mutex lock;	/* of the queue */
	enum v4l2_memory memory;
	unsigned int num_planes;
	struct completion freeing;
	bool release;

	/* the dma-bufs of the test, with a file descriptor each */
	unsigned int num_dmabufs;
	struct dma_buf *dmabuf[MAX_DMABUFS];
	int fd[MAX_DMABUFS];
	struct mock_memory exported[MAX_DMABUFS];

	/* state of the allocator, and the errors that it returns */
	int attached;
	int mapped;
	int prepared;
	struct dma_buf *last_attached;
	unsigned long attach_size;
	int attach_errors_after;
	int map_error;
	bool no_mappings;
	bool no_vaddr;
	int vaddr_error;

	/* the same for the driver */
	int initialised;
	int init_error;
	int buf_prepared;
	int prepare_error;
	int start_error;

	/* fences of devices, which are not done with the buffers */
	bool fenced;
	bool access_fails;
	unsigned int num_queued;
	unsigned int queued[2];	/* the last ones that the driver got */
};

static struct mock *to_mock(struct vb2_buffer *vb)
{
	return container_of(vb->vb2_queue, struct mock, q);
}

/* Private data of the allocator for a plane */
struct mock_mem {
	struct mock *mock;
	struct mock_memory *memory;
	struct mock_memory own;
};

/* Checks if CPU access to the memory is open, which needs q->cpu_access. */
static void expect_memory(struct mock_memory *memory, bool open)
{
	struct vb2_queue *q = &memory->mock->q;
	struct kunit *test = memory->mock->test;

	if (!q->cpu_access)
		open = false;

	KUNIT_EXPECT_EQ(test, memory->mappings.writers,
			open && memory->has_mappings && !q->is_output &&
			!memory->mock->no_mappings);
	if (!memory->fenced)
		KUNIT_EXPECT_EQ(test, memory->begun - memory->ended,
				open && memory->exported);
	/* the driver sees what devices wrote, and vice versa */
	if (!open && memory->begun)
		KUNIT_EXPECT_EQ(test, memory->device, memory->cpu);
}

static struct mock_memory *memory_of(struct vb2_buffer *vb, unsigned int plane)
{
	return ((struct mock_mem *)vb->planes[plane].mem_priv)->memory;
}

static void expect_access(struct vb2_buffer *vb, bool open)
{
	unsigned int i;

	for (i = 0; i < vb->num_planes; i++)
		if (vb->planes[i].mem_priv)
			expect_memory(memory_of(vb, i), open);
#ifdef CONFIG_VIDEO_ADV_DEBUG
	KUNIT_EXPECT_EQ(to_mock(vb)->test,
			vb->cnt_begin_cpu_access - vb->cnt_end_cpu_access,
			open && vb->vb2_queue->cpu_access &&
			vb->memory != VB2_MEMORY_USERPTR);
#endif
}

static void *mock_mem_get(struct vb2_buffer *vb, struct mock_memory *memory)
{
	struct mock_mem *mem;

	mem = kzalloc_obj(*mem);
	if (!mem)
		return ERR_PTR(-ENOMEM);
	mem->mock = to_mock(vb);
	mem->memory = memory ? : &mem->own;
	mem->own.mock = mem->mock;
	dma_buf_mappings_init(&mem->own.mappings);
	mem->mock->attached++;

	return mem;
}

static void mock_mem_put(void *priv)
{
	struct mock_mem *mem = priv;

	expect_memory(mem->memory, false);
	mem->mock->attached--;
	kfree(mem);
}

static void *mock_alloc(struct vb2_buffer *vb, struct device *dev,
			unsigned long size)
{
	struct mock_mem *mem = mock_mem_get(vb, NULL);

	if (!IS_ERR(mem))
		mem->own.has_mappings = true;

	return mem;
}

static unsigned int mock_num_users(void *priv)
{
	return 1;
}

static int mock_mmap(void *priv, struct vm_area_struct *vma)
{
	return -ENODEV;
}

static void *mock_get_userptr(struct vb2_buffer *vb, struct device *dev,
			      unsigned long vaddr, unsigned long size)
{
	return mock_mem_get(vb, NULL);
}

static void *mock_attach(struct vb2_buffer *vb, struct device *dev,
			 struct dma_buf *dmabuf, unsigned long size)
{
	struct mock *mock = to_mock(vb);

	if (mock->attach_errors_after && mock->attached >=
	    mock->attach_errors_after)
		return ERR_PTR(-EBUSY);
	mock->last_attached = dmabuf;
	mock->attach_size = size;

	return mock_mem_get(vb, dmabuf->priv);
}

static int mock_map(void *priv)
{
	struct mock *mock = ((struct mock_mem *)priv)->mock;

	if (mock->map_error)
		return mock->map_error;
	mock->mapped++;

	return 0;
}

static void mock_unmap(void *priv)
{
	struct mock_mem *mem = priv;

	expect_memory(mem->memory, false);
	mem->mock->mapped--;
}

static void mock_prepare(void *priv)
{
	((struct mock_mem *)priv)->mock->prepared++;
}

static void mock_finish(void *priv)
{
	((struct mock_mem *)priv)->mock->prepared--;
}

static struct dma_buf_mappings *mock_mappings(void *priv)
{
	struct mock_mem *mem = priv;

	return mem->mock->no_mappings ? NULL : &mem->own.mappings;
}

static void *mock_vaddr(struct vb2_buffer *vb, void *priv)
{
	struct mock_mem *mem = priv;

	if (mem->mock->no_vaddr)
		return ERR_PTR(mem->mock->vaddr_error);

	return &mem->memory->cpu;
}

static const struct vb2_mem_ops mock_mem_ops = {
	.alloc = mock_alloc,
	.put = mock_mem_put,
	.num_users = mock_num_users,
	.mmap = mock_mmap,
	.get_userptr = mock_get_userptr,
	.put_userptr = mock_mem_put,
	.attach_dmabuf = mock_attach,
	.detach_dmabuf = mock_mem_put,
	.map_dmabuf = mock_map,
	.unmap_dmabuf = mock_unmap,
	.prepare = mock_prepare,
	.finish = mock_finish,
	.mappings = mock_mappings,
	.vaddr = mock_vaddr,
};

static int mock_queue_setup(struct vb2_queue *q, unsigned int *num_buffers,
			    unsigned int *num_planes, unsigned int sizes[],
			    struct device *alloc_devs[])
{
	struct mock *mock = container_of(q, struct mock, q);
	unsigned int i;

	*num_planes = mock->num_planes;
	for (i = 0; i < mock->num_planes; i++)
		sizes[i] = MIN_SIZE;

	return 0;
}

/* The driver reads the buffer, if that is not held back. */
static void mock_read(struct vb2_buffer *vb)
{
	struct mock_memory *memory;
	unsigned int i;

	if (to_mock(vb)->fenced || to_mock(vb)->access_fails) {
		expect_access(vb, false);
		return;
	}
	expect_access(vb, true);
	for (i = 0; i < vb->num_planes; i++) {
		memory = memory_of(vb, i);
		if (vb->vb2_queue->cpu_access && memory->exported &&
		    !memory->fenced)
			KUNIT_EXPECT_EQ(to_mock(vb)->test, memory->cpu,
					memory->device);
	}
}

static int mock_buf_init(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	/* an allocated buffer is new, there is nothing to see yet */
	if (vb->memory != VB2_MEMORY_MMAP)
		mock_read(vb);
	if (!mock->init_error)
		mock->initialised++;

	return mock->init_error;
}

static void mock_buf_cleanup(struct vb2_buffer *vb)
{
	to_mock(vb)->initialised--;
}

static int mock_buf_prepare(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	mock_read(vb);
	if (!mock->prepare_error)
		mock->buf_prepared++;

	return mock->prepare_error;
}

static void mock_buf_finish(struct vb2_buffer *vb)
{
	unsigned int i;

	mock_read(vb);
	/* this is the last chance to write */
	for (i = 0; i < vb->num_planes; i++)
		if (!vb->vb2_queue->is_output &&
		    (vb->state == VB2_BUF_STATE_DONE ||
		     !vb->vb2_queue->heed_fences))
			memory_of(vb, i)->cpu++;
	to_mock(vb)->buf_prepared--;
}

static void mock_buf_queue(struct vb2_buffer *vb)
{
	struct mock *mock = to_mock(vb);

	KUNIT_EXPECT_FALSE(mock->test, mock->fenced);
	mock->queued[mock->num_queued++ % ARRAY_SIZE(mock->queued)] = vb->index;
	mock_read(vb);
}

/* Gives back all buffers, in @state */
static void mock_return(struct vb2_queue *q, enum vb2_buffer_state state)
{
	unsigned int i;

	for (i = 0; i < q->max_num_buffers; i++) {
		struct vb2_buffer *vb = vb2_get_buffer(q, i);

		if (vb && vb->state == VB2_BUF_STATE_ACTIVE)
			vb2_buffer_done(vb, state);
	}
}

static int mock_start_streaming(struct vb2_queue *q, unsigned int count)
{
	struct mock *mock = container_of(q, struct mock, q);

	if (mock->start_error)
		mock_return(q, VB2_BUF_STATE_QUEUED);

	return mock->start_error;
}

static void mock_stop_streaming(struct vb2_queue *q)
{
	mock_return(q, VB2_BUF_STATE_ERROR);
}

static const struct vb2_ops mock_qops = {
	.queue_setup = mock_queue_setup,
	.buf_init = mock_buf_init,
	.buf_cleanup = mock_buf_cleanup,
	.buf_prepare = mock_buf_prepare,
	.buf_finish = mock_buf_finish,
	.buf_queue = mock_buf_queue,
	.start_streaming = mock_start_streaming,
	.stop_streaming = mock_stop_streaming,
};

static struct sg_table *mock_map_dma_buf(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	return ERR_PTR(-ENODEV);
}

static void mock_unmap_dma_buf(struct dma_buf_attachment *attach,
			       struct sg_table *sgt,
			       enum dma_data_direction dir)
{
}

/* The direction is that of the devices on the other side. */
static void expect_direction(struct mock *mock, enum dma_data_direction dir)
{
	KUNIT_EXPECT_EQ(mock->test, dir, mock->q.is_output ? DMA_FROM_DEVICE :
							     DMA_BIDIRECTIONAL);
}

static int mock_begin(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct mock_memory *memory = dmabuf->priv;

	expect_direction(memory->mock, dir);
	if (memory->begin_error)
		return memory->begin_error;
	memory->begun++;
	memory->cpu = memory->device;

	return 0;
}

static int mock_end(struct dma_buf *dmabuf, enum dma_data_direction dir)
{
	struct mock_memory *memory = dmabuf->priv;

	expect_direction(memory->mock, dir);
	memory->ended++;
	if (dir != DMA_FROM_DEVICE)
		memory->device = memory->cpu;

	return 0;
}

static void mock_release(struct dma_buf *dmabuf)
{
}

static const struct dma_buf_ops mock_dma_buf_ops = {
	.map_dma_buf = mock_map_dma_buf,
	.unmap_dma_buf = mock_unmap_dma_buf,
	.begin_cpu_access = mock_begin,
	.end_cpu_access = mock_end,
	.release = mock_release,
};

static void mock_close(void *data)
{
	struct mock *mock = data;
	unsigned int i;

	mutex_lock(&mock->lock);
	vb2_queue_release(&mock->q);
	mutex_unlock(&mock->lock);
	KUNIT_EXPECT_EQ(mock->test, mock->attached, 0);
	KUNIT_EXPECT_EQ(mock->test, mock->mapped, 0);
	KUNIT_EXPECT_EQ(mock->test, mock->initialised, 0);
	for (i = 0; i < mock->num_dmabufs; i++) {
		expect_memory(&mock->exported[i], false);
		close_fd(mock->fd[i]);
	}
}

static int reqbufs(struct mock *mock, unsigned int count)
{
	struct v4l2_requestbuffers req = {
		.count = count, .type = mock->q.type, .memory = mock->memory,
	};

	guard(mutex)(&mock->lock);

	return vb2_reqbufs(&mock->q, &req);
}

/*
 * A queue of @type with one buffer of @memory, that the CPU accesses or not, at
 * once or when others are done.
 */
static struct mock *mock_open_full(struct kunit *test, enum v4l2_buf_type type,
				   enum v4l2_memory memory, bool cpu_access,
				   bool heed_fences)
{
	struct mock *mock;

	mock = kunit_kzalloc(test, sizeof(*mock), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mock);

	mock->test = test;
	mutex_init(&mock->lock);
	init_completion(&mock->freeing);
	mock->memory = memory;
	mock->num_planes = V4L2_TYPE_IS_MULTIPLANAR(type) ? MAX_PLANES : 1;
	mock->q.type = type;
	mock->q.io_modes = VB2_MMAP | VB2_USERPTR | VB2_DMABUF;
	mock->q.ops = &mock_qops;
	mock->mem_ops = mock_mem_ops;
	mock->mem_ops.cpu_access = cpu_access;
	mock->q.mem_ops = &mock->mem_ops;
	mock->q.buf_struct_size = sizeof(struct vb2_v4l2_buffer);
	mock->q.timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	mock->q.allow_cache_hints = 1;
	mock->q.lock = &mock->lock;
	mock->q.heed_fences = heed_fences;
	KUNIT_ASSERT_EQ(test, 0, vb2_queue_init(&mock->q));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, mock_close, mock));
	KUNIT_ASSERT_EQ(test, 0, reqbufs(mock, 1));

	return mock;
}

static struct mock *mock_open_cpu(struct kunit *test, enum v4l2_buf_type type,
				  enum v4l2_memory memory, bool cpu_access)
{
	return mock_open_full(test, type, memory, cpu_access, false);
}

static struct mock *mock_open(struct kunit *test, enum v4l2_buf_type type,
			      enum v4l2_memory memory)
{
	return mock_open_cpu(test, type, memory, false);
}

/* Exports a dma-buf of a byte that claims to be of @size. */
static void mock_export_mappings(struct kunit *test, struct mock *mock,
				 size_t size, bool has_mappings)
{
	struct mock_memory *memory = &mock->exported[mock->num_dmabufs];
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf *dmabuf;
	int fd;

	exp_info.ops = &mock_dma_buf_ops;
	exp_info.size = size;
	exp_info.flags = O_RDWR;
	exp_info.priv = memory;
	memory->mock = mock;
	memory->exported = true;
	memory->has_mappings = has_mappings;
	dma_buf_mappings_init(&memory->mappings);
	if (has_mappings)
		exp_info.mappings = &memory->mappings;

	dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dmabuf);
	fd = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (fd < 0)
		dma_buf_put(dmabuf);
	KUNIT_ASSERT_GE(test, fd, 0);
	mock->dmabuf[mock->num_dmabufs] = dmabuf;
	mock->fd[mock->num_dmabufs++] = fd;
}

static void mock_export(struct kunit *test, struct mock *mock, size_t size)
{
	mock_export_mappings(test, mock, size, false);
}

static long references(struct mock *mock, unsigned int i)
{
	return file_count(mock->dmabuf[i]->file);
}

/* The fields of a plane that the tests pass to VIDIOC_QBUF */
struct plane {
	u32 index;	/* of the buffer */
	int fd;
	u32 length;
	u32 bytesused;
	u32 data_offset;
};

static void fill_buffer(struct mock *mock, struct v4l2_buffer *b,
			struct v4l2_plane *planes, const struct plane *plane)
{
	unsigned int i;

	b->index = plane->index;
	b->type = mock->q.type;
	b->memory = mock->q.memory;
	b->field = V4L2_FIELD_NONE;

	if (mock->num_planes == 1) {
		if (b->memory == V4L2_MEMORY_DMABUF)
			b->m.fd = plane->fd;
		else if (b->memory == V4L2_MEMORY_USERPTR)
			b->m.userptr = PAGE_SIZE * (plane->fd + 1);
		b->length = plane->length;
		b->bytesused = plane->bytesused;
		return;
	}

	b->m.planes = planes;
	b->length = mock->num_planes;
	for (i = 0; i < mock->num_planes; i++) {
		planes[i].m.fd = plane[i].fd;
		planes[i].length = plane[i].length;
		planes[i].bytesused = plane[i].bytesused;
		planes[i].data_offset = plane[i].data_offset;
	}
}

static int qbuf_flags(struct mock *mock, const struct plane *plane, u32 flags)
{
	struct v4l2_plane planes[MAX_PLANES] = { };
	struct v4l2_buffer b = { .flags = flags };

	fill_buffer(mock, &b, planes, plane);
	guard(mutex)(&mock->lock);

	return vb2_qbuf(&mock->q, NULL, &b);
}

static int qbuf(struct mock *mock, const struct plane *plane)
{
	return qbuf_flags(mock, plane, 0);
}

static int prepare_buf(struct mock *mock, const struct plane *plane)
{
	struct v4l2_plane planes[MAX_PLANES] = { };
	struct v4l2_buffer b = { };

	fill_buffer(mock, &b, planes, plane);
	guard(mutex)(&mock->lock);

	return vb2_prepare_buf(&mock->q, NULL, &b);
}

static int dqbuf(struct mock *mock)
{
	struct v4l2_buffer b = {
		.type = mock->q.type, .memory = mock->memory,
	};

	guard(mutex)(&mock->lock);

	return vb2_dqbuf(&mock->q, &b, true);
}

static int streamon(struct mock *mock)
{
	guard(mutex)(&mock->lock);

	return vb2_streamon(&mock->q, mock->q.type);
}

static int remove_bufs(struct mock *mock, unsigned int count)
{
	guard(mutex)(&mock->lock);

	return vb2_core_remove_bufs(&mock->q, 0, count);
}

/* Cancels the queue. Its buffers keep their planes. */
static void cancel(struct kunit *test, struct mock *mock)
{
	scoped_guard(mutex, &mock->lock)
		KUNIT_EXPECT_EQ(test, 0, vb2_streamoff(&mock->q, mock->q.type));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
	expect_access(vb2_get_buffer(&mock->q, 0), false);
}

/* A failed import leaves no reference behind. */
static void test_import_fails(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane[MAX_PLANES];
	int i;

	for (i = 0; i < MAX_DMABUFS; i++) {
		mock_export(test, mock, SMALL);
		plane[i] = (struct plane){ .fd = mock->fd[i] };
	}

	mock->map_error = -ENOMEM;
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
	mock->map_error = 0;

	/* the second plane only */
	mock->attach_errors_after = 1;
	KUNIT_EXPECT_EQ(test, -EBUSY, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);
	KUNIT_EXPECT_EQ(test, mock->initialised, 0);
	mock->attach_errors_after = 0;

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 2);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 2);
	cancel(test, mock);
}

/* A buffer keeps what it has until there is something to replace it. */
static void test_import_keeps_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct plane good = { }, bad = { .fd = -1 }, small = { };
	int i;

	mock_export(test, mock, SMALL);
	mock_export(test, mock, MIN_SIZE / 2);
	good.fd = mock->fd[0];
	small.fd = mock->fd[1];

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &good));
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &bad));
		KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &small));

		KUNIT_EXPECT_EQ(test, references(mock, 0), 2);
		KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
		KUNIT_EXPECT_EQ(test, mock->attached, 1);
		KUNIT_EXPECT_EQ(test, mock->mapped, 1);
		KUNIT_EXPECT_EQ(test, mock->initialised, 1);
	}
}

/* The same for user pointers */
static void test_userptr_keeps_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_USERPTR);
	struct plane good = { .length = MIN_SIZE };
	struct plane bad = { .length = MIN_SIZE / 2 };
	int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &good));
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &bad));
		KUNIT_EXPECT_EQ(test, mock->attached, 1);
		KUNIT_EXPECT_EQ(test, mock->initialised, 1);
	}
}

/* Nobody finds a buffer by its timestamp when its memory is gone. */
static void test_import_forgets_timestamp(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);

	/* the driver does not like what it got */
	mock->prepare_error = -EIO;
	vb->copied_timestamp = 1;
	plane.fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_FALSE(test, vb->copied_timestamp);
	mock->prepare_error = 0;

	/* the old memory is kept at first, and then released */
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cancel(test, mock);
	vb->copied_timestamp = 1;
	plane.length = SMALL + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, &plane));
	KUNIT_EXPECT_TRUE(test, vb->copied_timestamp);
	plane.length = 0;
	plane.fd = mock->fd[1];
	mock->map_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, &plane));
	KUNIT_EXPECT_FALSE(test, vb->copied_timestamp);
}

/* No plane may be longer than its dma-buf, even if it shares that. */
static void test_plane_sizes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane[MAX_PLANES] = { };

	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[0];
	plane[0].length = MIN_SIZE;

	plane[1].length = SMALL + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	cancel(test, mock);

	/* the allocator has to check the larger length */
	plane[1].length = SMALL;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	KUNIT_EXPECT_EQ(test, mock->attach_size, SMALL);
	cancel(test, mock);
}

enum earlier { NOTHING, LARGER, FAILED };

static const struct payload_param {
	const char *desc;
	enum v4l2_buf_type type;
	enum earlier earlier;
} payload_params[] = {
	{ "first", V4L2_BUF_TYPE_VIDEO_OUTPUT, NOTHING },
	{ "later", V4L2_BUF_TYPE_VIDEO_OUTPUT, LARGER },
	{ "after failure", V4L2_BUF_TYPE_VIDEO_OUTPUT, FAILED },
	{ "planes first", V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, NOTHING },
	{ "planes later", V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, LARGER },
	{ "planes after failure", V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, FAILED },
};

KUNIT_ARRAY_PARAM_DESC(payload, payload_params, desc);

/* Allocates the buffer anew, and may queue it with a large dma-buf. */
static void queue_earlier(struct kunit *test, struct mock *mock,
			  enum earlier earlier)
{
	struct v4l2_requestbuffers req[] = {
		{ .type = mock->q.type, .memory = V4L2_MEMORY_DMABUF },
		{ .type = mock->q.type, .memory = V4L2_MEMORY_DMABUF },
	};
	struct plane large[MAX_PLANES] = { };
	unsigned int i;

	req[1].count = 1;
	scoped_guard(mutex, &mock->lock) {
		KUNIT_EXPECT_EQ(test, 0, vb2_reqbufs(&mock->q, &req[0]));
		KUNIT_EXPECT_EQ(test, 0, vb2_reqbufs(&mock->q, &req[1]));
	}
	if (earlier == NOTHING)
		return;

	for (i = 0; i < MAX_PLANES; i++) {
		large[i].fd = mock->fd[1];
		large[i].length = LARGE;
		large[i].bytesused = LARGE;
	}
	mock->map_error = earlier == FAILED ? -ENOMEM : 0;
	KUNIT_EXPECT_EQ(test, mock->map_error, qbuf(mock, large));
	mock->map_error = 0;
	cancel(test, mock);
}

/*
 * The payload must fit into the dma-buf being queued, not into an earlier one.
 * A length or a bytesused of zero means the whole dma-buf.
 */
static void test_payload(struct kunit *test)
{
	static const u32 sizes[] = {
		0, 1, MIN_SIZE - 1, MIN_SIZE, SMALL, SMALL + 1,
	};
	const struct payload_param *param = test->param_value;
	struct mock *mock = mock_open(test, param->type, V4L2_MEMORY_DMABUF);
	unsigned int i, j;

	mock_export(test, mock, SMALL);
	mock_export(test, mock, LARGE);

	for (i = 0; i < ARRAY_SIZE(sizes) * ARRAY_SIZE(sizes); i++) {
		u32 length = sizes[i / ARRAY_SIZE(sizes)];
		u32 bytesused = sizes[i % ARRAY_SIZE(sizes)];
		u32 size = length ?: SMALL;
		u32 payload = bytesused ?: size;
		struct plane planes[MAX_PLANES] = { };
		struct vb2_buffer *vb;
		bool fits;

		fits = size >= MIN_SIZE && size <= SMALL && payload <= SMALL;
		/* a single plane is as long as what is used of it */
		if (mock->num_planes == 1)
			size = max(size, payload);
		fits &= payload <= size;

		queue_earlier(test, mock, param->earlier);
		for (j = 0; j < MAX_PLANES; j++) {
			planes[j].fd = mock->fd[0];
			planes[j].length = length;
			planes[j].bytesused = bytesused;
		}
		/* the last byte of the payload */
		planes[1].data_offset = payload - 1;

		KUNIT_EXPECT_EQ_MSG(test, fits ? 0 : -EINVAL,
				    qbuf(mock, planes),
				    "length %u, bytesused %u", length,
				    bytesused);
		vb = vb2_get_buffer(&mock->q, 0);
		for (j = 0; fits && j < mock->num_planes; j++) {
			KUNIT_EXPECT_EQ(test, vb2_plane_size(vb, j), size);
			KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, j),
					payload);
		}
		cancel(test, mock);
	}
}

/* The data offset must lie within the payload. */
static void test_payload_planes(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane[MAX_PLANES] = { };

	mock_export(test, mock, SMALL);
	plane[0].fd = mock->fd[0];
	plane[1].fd = mock->fd[0];

	plane[1].bytesused = SMALL + 1;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));
	plane[1].bytesused = SMALL;
	plane[1].data_offset = SMALL;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));
	plane[1].bytesused = 0;
	KUNIT_EXPECT_EQ(test, -EINVAL, qbuf(mock, plane));

	plane[1].data_offset = SMALL - 1;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), SMALL);
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 1), SMALL);
	cancel(test, mock);
}

/* The length of a plane has 32 bits, the size of a dma-buf perhaps more. */
static void test_huge(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_OUTPUT,
				      V4L2_MEMORY_DMABUF);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	u32 longest = round_down(U32_MAX, PAGE_SIZE);
	u64 size = SZ_4G;
	struct plane plane = { };

	if (size > SIZE_MAX)
		kunit_skip(test, "no dma-buf is that large");
	mock_export(test, mock, size);
	mock_export(test, mock, size + MIN_SIZE);

	plane.fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, vb2_plane_size(vb, 0), longest);
	KUNIT_EXPECT_EQ(test, vb2_get_plane_payload(vb, 0), longest);
	cancel(test, mock);
	plane.fd = mock->fd[1];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->attach_size, longest);
	cancel(test, mock);
	plane.length = MIN_SIZE;
	plane.bytesused = MIN_SIZE;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->attach_size, MIN_SIZE);
	cancel(test, mock);
}

/* A cache hint applies only to the call that passes it. */
static void test_cache_hints(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_MMAP);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { };

	KUNIT_EXPECT_EQ(test, 0,
			qbuf_flags(mock, &plane,
				   V4L2_BUF_FLAG_NO_CACHE_CLEAN |
				   V4L2_BUF_FLAG_NO_CACHE_INVALIDATE));
	KUNIT_EXPECT_TRUE(test, vb->skip_cache_sync_on_prepare);
	KUNIT_EXPECT_TRUE(test, vb->skip_cache_sync_on_finish);
	cancel(test, mock);

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_FALSE(test, vb->skip_cache_sync_on_prepare);
	KUNIT_EXPECT_FALSE(test, vb->skip_cache_sync_on_finish);
	cancel(test, mock);
}

/* Allocator and driver finish a prepared buffer when it is removed. */
static void test_remove_prepared(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];

	KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->prepared, 1);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 1);

	KUNIT_EXPECT_EQ(test, 0, remove_bufs(mock, 1));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->initialised, 0);
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
}

/* The buffer of a failed VIDIOC_QBUF can be queued with another dma-buf. */
static void test_start_fails(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_DMABUF);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);

	/* the driver starts when it has a buffer */
	mock->q.min_queued_buffers = 1;
	KUNIT_ASSERT_EQ(test, 0, streamon(mock));
	mock->start_error = -EIO;
	plane.fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);

	mock->start_error = 0;
	plane.fd = mock->fd[1];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_PTR_EQ(test, mock->last_attached, mock->dmabuf[1]);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, references(mock, 1), 2);
	KUNIT_EXPECT_EQ(test, mock->prepared, 1);
	KUNIT_EXPECT_EQ(test, mock->buf_prepared, 1);
	cancel(test, mock);
}

/* Each kind of buffer that the CPU accesses */
static const struct access_param {
	const char *desc;
	enum v4l2_buf_type type;
	enum v4l2_memory memory;
	bool mappings;
} access_params[] = {
	{ "capture, mmap",
	  V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP, true },
	{ "capture, mmap without mappings",
	  V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP, false },
	{ "capture, userptr",
	  V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_USERPTR, true },
	{ "capture, dmabuf",
	  V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_DMABUF, true },
	{ "capture, dmabuf without mappings",
	  V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_DMABUF, false },
	{ "output, mmap",
	  V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_MMAP, true },
	{ "output, dmabuf",
	  V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_DMABUF, true },
	{ "output, dmabuf without mappings",
	  V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_DMABUF, false },
};

KUNIT_ARRAY_PARAM_DESC(access, access_params, desc);

static struct mock *mock_open_param(struct kunit *test)
{
	const struct access_param *p = test->param_value;
	struct mock *mock = mock_open_cpu(test, p->type, p->memory, true);

	mock->no_mappings = !p->mappings;
	mock_export_mappings(test, mock, SMALL, p->mappings);

	return mock;
}

/* The CPU's access lasts from QBUF to DQBUF, each time. */
static void test_access(struct kunit *test)
{
	struct mock *mock = mock_open_param(test);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { .fd = mock->fd[0], .length = MIN_SIZE };
	struct mock_memory *memory = &mock->exported[0];
	int i;

	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	for (i = 0; i < 3; i++) {
		memory->device = 10 * i;
		/* prepared beforehand, with an error, and neither */
		if (i == 1)
			KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		mock_return(&mock->q, i == 2 ? VB2_BUF_STATE_ERROR :
					       VB2_BUF_STATE_DONE);
		expect_access(vb, true);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		expect_access(vb, false);
		if (mock->memory != V4L2_MEMORY_DMABUF)
			continue;
		KUNIT_EXPECT_EQ(test, memory->device,
				10 * i + !mock->q.is_output);
		KUNIT_EXPECT_EQ(test, memory->begun, i + 1);
	}
	KUNIT_EXPECT_EQ(test, mock->attached, 1);
	KUNIT_EXPECT_EQ(test, mock->prepared, 0);
}

/* It ends where a buffer is taken back, in whatever state that is. */
static void test_access_cancelled(struct kunit *test)
{
	struct mock *mock = mock_open_param(test);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { .fd = mock->fd[0], .length = MIN_SIZE };

	KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	expect_access(vb, true);
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	expect_access(vb, true);
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	expect_access(vb, true);
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	mock_return(&mock->q, VB2_BUF_STATE_DONE);
	expect_access(vb, true);
	cancel(test, mock);

	/* the driver does not start */
	mock->q.min_queued_buffers = 1;
	mock->start_error = -EIO;
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
	expect_access(vb, false);
	mock->start_error = 0;
	cancel(test, mock);
}

/* It ends before the memory is released, which the allocator checks. */
static void test_access_freed(struct kunit *test)
{
	struct mock *mock = mock_open_param(test);
	struct plane plane = { .fd = mock->fd[0], .length = MIN_SIZE };

	KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, remove_bufs(mock, 1));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);

	KUNIT_ASSERT_EQ(test, 0, reqbufs(mock, 1));
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, reqbufs(mock, 0));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);

	/* this one is closed as it is */
	KUNIT_ASSERT_EQ(test, 0, reqbufs(mock, 1));
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	expect_access(vb2_get_buffer(&mock->q, 0), true);
}

/* It is not left open if the driver rejects a buffer. */
static void test_access_refused(struct kunit *test)
{
	struct mock *mock = mock_open_param(test);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { .fd = mock->fd[0], .length = MIN_SIZE };
	bool allocated = mock->memory == V4L2_MEMORY_MMAP;
	int i;

	if (!allocated) {
		mock->init_error = -EIO;
		KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->attached, 0);
		expect_access(vb, false);
		mock->init_error = 0;
	}

	/* a new one, and one that it knows already */
	for (i = 0; i < 2; i++) {
		mock->prepare_error = -EIO;
		KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, mock->attached, allocated);
		expect_access(vb, false);
		mock->prepare_error = 0;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		expect_access(vb, true);
		cancel(test, mock);
	}
}

/* A buffer whose access cannot begin is as it was, and can be queued again. */
static void test_access_fails(struct kunit *test)
{
	struct mock *mock = mock_open_cpu(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_DMABUF, true);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { };
	int i;

	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];

	for (i = 0; i < 2; i++) {
		mock->exported[0].begin_error = -EINTR;
		KUNIT_EXPECT_EQ(test, -EINTR, prepare_buf(mock, &plane));
		KUNIT_EXPECT_EQ(test, -EINTR, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_DEQUEUED);
		KUNIT_EXPECT_EQ(test, mock->buf_prepared, 0);
		/* what it had before it keeps */
		KUNIT_EXPECT_EQ(test, mock->mapped, i);
		KUNIT_EXPECT_EQ(test, mock->initialised, i);
		KUNIT_EXPECT_EQ(test, references(mock, 0), 1 + i);
		expect_access(vb, false);

		mock->exported[0].begin_error = 0;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		expect_access(vb, true);
		cancel(test, mock);
	}
}

/* Planes are accessed together, and once if they share a dma-buf. */
static void test_access_planes(struct kunit *test)
{
	struct mock *mock = mock_open_cpu(test,
					  V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
					  V4L2_MEMORY_DMABUF, true);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane[MAX_PLANES] = { };
	int i;

	for (i = 0; i < MAX_DMABUFS; i++) {
		mock_export_mappings(test, mock, SMALL, i == 0);
		plane[i].fd = mock->fd[i];
	}

	for (i = 0; i < 2; i++) {
		mock->exported[1].begin_error = -EINTR;
		KUNIT_EXPECT_EQ(test, -EINTR, qbuf(mock, plane));
		KUNIT_EXPECT_EQ(test, mock->mapped, i * MAX_PLANES);
		KUNIT_EXPECT_EQ(test, mock->exported[0].begun, 2 * i + 1);
		expect_memory(&mock->exported[0], false);
		expect_memory(&mock->exported[1], false);

		mock->exported[1].begin_error = 0;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
		expect_access(vb, true);
		cancel(test, mock);
	}

	plane[1].fd = mock->fd[0];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	KUNIT_EXPECT_EQ(test, mock->mapped, 1);
	expect_access(vb, true);
	cancel(test, mock);
}

/* The allocator has the default, which a driver can override. */
static void test_access_default(struct kunit *test)
{
	struct plane plane = { };
	struct mock *mock;
	int by_default, set;

	for (by_default = 0; by_default < 2; by_default++) {
		mock = mock_open_cpu(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				     V4L2_MEMORY_DMABUF, by_default);
		KUNIT_EXPECT_EQ(test, !!mock->q.cpu_access, by_default);
		mock_export_mappings(test, mock, SMALL, true);
		plane.fd = mock->fd[0];

		for (set = 0; set < 2; set++) {
			mock->q.cpu_access = set;
			mock->exported[0].begun = 0;
			mock->exported[0].ended = 0;
			KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
			/* there is either a device or the CPU */
			KUNIT_EXPECT_EQ(test, mock->prepared, !set);
			KUNIT_EXPECT_EQ(test, mock->exported[0].begun, set);
			cancel(test, mock);
			KUNIT_EXPECT_EQ(test, mock->exported[0].ended, set);
		}
	}
}

static const char *mock_fence_name(struct dma_fence *fence)
{
	return "videobuf2";
}

/* A buffer without a kernel address is rejected. */
static void test_access_no_address(struct kunit *test)
{
	struct mock *mock = mock_open_cpu(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_DMABUF, true);
	struct plane plane = { };

	mock_export(test, mock, SMALL);
	plane.fd = mock->fd[0];
	mock->no_vaddr = true;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, qbuf(mock, &plane));
	mock->vaddr_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, mock->mapped, 0);

	mock->no_vaddr = false;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cancel(test, mock);
}

/* The same for memory of the queue, if there is no room to map it. */
static void test_access_no_address_mmap(struct kunit *test)
{
	struct mock *mock = mock_open_cpu(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_MMAP, true);
	struct plane plane = { };

	mock->no_vaddr = true;
	mock->vaddr_error = -ENOMEM;
	KUNIT_EXPECT_EQ(test, -ENOMEM, qbuf(mock, &plane));
	mock->no_vaddr = false;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	cancel(test, mock);
}

static const struct dma_fence_ops mock_fence_ops = {
	.get_driver_name = mock_fence_name,
	.get_timeline_name = mock_fence_name,
};

static DEFINE_SPINLOCK(mock_fence_lock);

/* A device that uses a dma-buf until the fence is signalled. */
static struct dma_fence *mock_fence(struct mock *mock, unsigned int i,
				    enum dma_resv_usage usage)
{
	struct dma_resv *resv = mock->dmabuf[i]->resv;
	struct kunit *test = mock->test;
	struct dma_fence *fence;
	int ret;

	fence = kzalloc_obj(*fence);
	KUNIT_ASSERT_NOT_NULL(test, fence);
	dma_fence_init(fence, &mock_fence_ops, &mock_fence_lock,
		       dma_fence_context_alloc(1), 1);
	dma_resv_lock(resv, NULL);
	ret = dma_resv_reserve_fences(resv, 1);
	if (!ret)
		dma_resv_add_fence(resv, fence, usage);
	dma_resv_unlock(resv);
	KUNIT_ASSERT_EQ(test, 0, ret);

	return fence;
}

/* Waits until the queue has done all that there is to do. */
static void settle(struct mock *mock)
{
	do {
		flush_delayed_work(&mock->q.fence_work);
	} while (delayed_work_pending(&mock->q.fence_work));
}

/* The device is done, and nobody else refers to the fence after that. */
static void mock_signal(struct mock *mock, struct dma_fence *fence)
{
	dma_fence_signal(fence);
	settle(mock);
	/* one more is that of the dma-buf */
	KUNIT_EXPECT_LE(mock->test, kref_read(&fence->refcount), 2);
	dma_fence_put(fence);
}

static unsigned int active(struct mock *mock)
{
	return atomic_read(&mock->q.owned_by_drv_count);
}

static struct mock *mock_open_fenced(struct kunit *test, u32 type)
{
	struct mock *mock = mock_open_full(test, type, V4L2_MEMORY_DMABUF, true,
					   true);

	KUNIT_ASSERT_EQ(test, 0, reqbufs(mock, 2));
	mock_export_mappings(test, mock, SMALL, true);
	mock_export_mappings(test, mock, SMALL, false);

	return mock;
}

/*
 * If the driver does not heed fences, nobody waits, and an exporter that may do
 * so is not called.
 */
static void test_access_fenced(struct kunit *test)
{
	struct mock *mock = mock_open_cpu(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_DMABUF, true);
	struct plane plane = { };
	struct dma_fence *fence;

	mock_export_mappings(test, mock, SMALL, true);
	plane.fd = mock->fd[0];
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);

	mock->exported[0].fenced = true;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	KUNIT_EXPECT_EQ(test, active(mock), 1);
	KUNIT_EXPECT_EQ(test, mock->exported[0].begun, 0);
	KUNIT_EXPECT_EQ(test, mock->exported[0].mappings.writers, 1);
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, mock->exported[0].mappings.writers, 0);

	mock_signal(mock, fence);
	mock->exported[0].fenced = false;
	mock->exported[0].ended = 0;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, mock->exported[0].begun, 1);
	cancel(test, mock);
}

/* QBUF returns, and the driver gets the buffer when the device is done. */
static void test_fenced(struct kunit *test)
{
	struct mock *mock = mock_open_fenced(test, V4L2_BUF_TYPE_VIDEO_CAPTURE);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { .fd = mock->fd[0] };
	enum dma_resv_usage usage[] = {
		DMA_RESV_USAGE_KERNEL, DMA_RESV_USAGE_WRITE,
		DMA_RESV_USAGE_READ,
	};
	struct dma_fence *fence;
	int i;

	for (i = 0; i < ARRAY_SIZE(usage); i++) {
		fence = mock_fence(mock, 0, usage[i]);
		mock->fenced = true;
		/* before STREAMON, and after it */
		if (i)
			KUNIT_EXPECT_EQ(test, 0, streamon(mock));
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, 0, streamon(mock));
		settle(mock);
		KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_QUEUED);
		KUNIT_EXPECT_EQ(test, active(mock), 0);
		expect_access(vb, false);

		/* somebody uses the queue in that very moment */
		mock->exported[0].device = i;
		mutex_lock(&mock->lock);
		mock->fenced = false;
		dma_fence_signal(fence);
		KUNIT_EXPECT_EQ(test, active(mock), 0);
		mutex_unlock(&mock->lock);
		mock_signal(mock, fence);
		KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_ACTIVE);
		expect_access(vb, true);

		mock_return(&mock->q, VB2_BUF_STATE_DONE);
		KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
		expect_access(vb, false);
		cancel(test, mock);
	}
}

/* Buffers stay in the order in which they were queued. */
static void test_fenced_order(struct kunit *test)
{
	struct mock *mock = mock_open_fenced(test, V4L2_BUF_TYPE_VIDEO_CAPTURE);
	struct plane plane[2] = {
		{ .fd = mock->fd[0] }, { .index = 1, .fd = mock->fd[1] },
	};
	struct dma_fence *fence[3] = { };
	int i;

	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	/* with a fence for each, and with none for the second */
	for (i = 0; i < 2; i++) {
		fence[0] = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
		if (!i)
			fence[1] = mock_fence(mock, 1, DMA_RESV_USAGE_WRITE);
		mock->fenced = true;
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane[0]));
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane[1]));
		settle(mock);
		KUNIT_EXPECT_EQ(test, active(mock), 0);

		if (!i)
			mock_signal(mock, fence[1]);
		KUNIT_EXPECT_EQ(test, active(mock), 0);

		/* one that comes while the buffer is held back counts, too */
		fence[2] = mock_fence(mock, 0, DMA_RESV_USAGE_READ);
		mock_signal(mock, fence[0]);
		KUNIT_EXPECT_EQ(test, active(mock), 0);
		mock->fenced = false;
		mock_signal(mock, fence[2]);
		KUNIT_EXPECT_EQ(test, active(mock), 2);
		KUNIT_EXPECT_EQ(test, mock->num_queued, 2);
		KUNIT_EXPECT_EQ(test, mock->queued[0], 0);
		KUNIT_EXPECT_EQ(test, mock->queued[1], 1);
		mock->num_queued = 0;
		cancel(test, mock);
		KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	}
	cancel(test, mock);
}

/* All planes have to be ready, and an error is as good as any other end. */
static void test_fenced_planes(struct kunit *test)
{
	struct mock *mock =
		mock_open_fenced(test, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
	struct plane plane[2] = {
		{ .fd = mock->fd[0] }, { .fd = mock->fd[1] },
	};
	struct dma_fence *fence[2];

	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	fence[0] = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	fence[1] = mock_fence(mock, 1, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, plane));
	mock_signal(mock, fence[0]);
	KUNIT_EXPECT_EQ(test, active(mock), 0);
	mock->fenced = false;
	dma_fence_set_error(fence[1], -EIO);
	mock_signal(mock, fence[1]);
	KUNIT_EXPECT_EQ(test, active(mock), 1);
	cancel(test, mock);
}

/* Others may read what the driver only reads. */
static void test_fenced_output(struct kunit *test)
{
	struct mock *mock = mock_open_fenced(test, V4L2_BUF_TYPE_VIDEO_OUTPUT);
	struct plane plane = { .fd = mock->fd[0] };
	struct dma_fence *fence;

	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_READ);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, active(mock), 1);
	cancel(test, mock);
	mock_signal(mock, fence);
}

/* A fence that does not signal keeps nobody from taking the buffer back. */
static void test_fenced_cancelled(struct kunit *test)
{
	struct mock *mock = mock_open_fenced(test, V4L2_BUF_TYPE_VIDEO_CAPTURE);
	struct plane plane = { .fd = mock->fd[0] };
	struct dma_fence *fence;
	int i;

	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	for (i = 0; i < 1000; i++) {
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
		KUNIT_EXPECT_EQ(test, 0, streamon(mock));
		cancel(test, mock);
		/* that of the test and that of the dma-buf */
		KUNIT_EXPECT_EQ(test, kref_read(&fence->refcount), 2);
	}

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, -EBUSY, remove_bufs(mock, 1));
	KUNIT_EXPECT_EQ(test, 0, reqbufs(mock, 0));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_EQ(test, kref_read(&fence->refcount), 2);

	/* what was prepared before there was a fence begins anew */
	mock_signal(mock, fence);
	mock->fenced = false;
	KUNIT_ASSERT_EQ(test, 0, reqbufs(mock, 1));
	KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	expect_access(vb2_get_buffer(&mock->q, 0), true);
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	expect_access(vb2_get_buffer(&mock->q, 0), false);
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	mock->fenced = false;
	mock_signal(mock, fence);
	expect_access(vb2_get_buffer(&mock->q, 0), true);
	cancel(test, mock);

	/* nor does one that signals while the lock is held */
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	mutex_lock(&mock->lock);
	dma_fence_signal(fence);
	KUNIT_EXPECT_EQ(test, 0, vb2_streamoff(&mock->q, mock->q.type));
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&mock->q.fence_work));
	mutex_unlock(&mock->lock);
	mock_signal(mock, fence);

	/* this one is closed as it is */
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	dma_fence_put(fence);
}

/* DQBUF or the queue reports what fails after the device is done. */
static void test_fenced_fails(struct kunit *test)
{
	struct mock *mock = mock_open_fenced(test, V4L2_BUF_TYPE_VIDEO_CAPTURE);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane plane = { .fd = mock->fd[0] };
	struct dma_fence *fence;

	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	mock->exported[0].begin_error = -EIO;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	mock->fenced = false;
	mock->access_fails = true;
	mock_signal(mock, fence);
	KUNIT_EXPECT_EQ(test, active(mock), 1);
	mock_return(&mock->q, VB2_BUF_STATE_DONE);
	KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_ERROR);
	KUNIT_EXPECT_EQ(test, 0, dqbuf(mock));
	mock->access_fails = false;
	mock->exported[0].begin_error = 0;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	mock_return(&mock->q, VB2_BUF_STATE_DONE);
	KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_DONE);
	cancel(test, mock);

	/* streaming starts when there are enough buffers that are ready */
	mock->q.min_queued_buffers = 1;
	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	settle(mock);
	KUNIT_EXPECT_FALSE(test, mock->q.start_streaming_called);
	mock->fenced = false;
	mock_signal(mock, fence);
	KUNIT_EXPECT_TRUE(test, mock->q.start_streaming_called);
	KUNIT_EXPECT_EQ(test, active(mock), 1);
	cancel(test, mock);

	KUNIT_EXPECT_EQ(test, 0, streamon(mock));
	fence = mock_fence(mock, 0, DMA_RESV_USAGE_WRITE);
	mock->fenced = true;
	mock->start_error = -EIO;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	mock->fenced = false;
	mock_signal(mock, fence);
	plane.index = 1;
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &plane));
	mock->start_error = 0;
	cancel(test, mock);
}

/* As if the buffer had been decoded from a frame of this time */
static void set_timestamp(struct mock *mock, unsigned int index, u64 timestamp)
{
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, index);

	/* QBUF would clear it otherwise */
	mock->q.copy_timestamp = 1;
	vb->timestamp = timestamp;
	vb->copied_timestamp = 1;
}

/* A buffer that is held is not removed, nor are others along with it. */
static void test_hold_remove(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_MMAP);
	struct vb2_buffer *vb[2];
	struct plane plane = { };
	int i;

	KUNIT_ASSERT_EQ(test, 0, reqbufs(mock, 2));
	KUNIT_EXPECT_EQ(test, 0, prepare_buf(mock, &plane));
	for (i = 0; i < 2; i++) {
		vb[i] = vb2_get_buffer(&mock->q, i);
		set_timestamp(mock, i, 10 + i);
	}

	KUNIT_ASSERT_PTR_EQ(test, vb2_hold_buffer(&mock->q, 11), vb[1]);
	KUNIT_ASSERT_PTR_EQ(test, vb2_hold_buffer(&mock->q, 11), vb[1]);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, -EBUSY, remove_bufs(mock, 2));
		KUNIT_ASSERT_EQ(test, mock->attached, 2);
		KUNIT_EXPECT_EQ(test, mock->buf_prepared, 1);
		KUNIT_EXPECT_PTR_EQ(test, vb2_find_buffer(&mock->q, 10), vb[0]);
		vb2_unhold_buffer(vb[1]);
	}

	KUNIT_EXPECT_EQ(test, 0, remove_bufs(mock, 2));
	KUNIT_EXPECT_EQ(test, mock->attached, 0);
	KUNIT_EXPECT_NULL(test, vb2_hold_buffer(&mock->q, 11));
}

/* It keeps the dma-buf that it has. */
static void test_hold_import(struct kunit *test)
{
	struct mock *mock = mock_open_cpu(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
					  V4L2_MEMORY_DMABUF, true);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane known = { }, other = { };

	mock_export(test, mock, SMALL);
	mock_export(test, mock, SMALL);
	known.fd = mock->fd[0];
	other.fd = mock->fd[1];
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &known));
	cancel(test, mock);
	set_timestamp(mock, 0, 1);
	KUNIT_ASSERT_PTR_EQ(test, vb2_hold_buffer(&mock->q, 1), vb);

	KUNIT_EXPECT_EQ(test, -EBUSY, qbuf(mock, &other));
	KUNIT_EXPECT_EQ(test, references(mock, 1), 1);
	KUNIT_EXPECT_EQ(test, vb->state, VB2_BUF_STATE_DEQUEUED);
	mock->prepare_error = -EIO;
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &known));
	mock->prepare_error = 0;
	mock->exported[0].begin_error = -EINTR;
	KUNIT_EXPECT_EQ(test, -EINTR, qbuf(mock, &known));
	mock->exported[0].begin_error = 0;
	KUNIT_EXPECT_EQ(test, mock->mapped, 1);
	KUNIT_EXPECT_EQ(test, mock->initialised, 1);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 2);
	KUNIT_EXPECT_PTR_EQ(test, vb2_find_buffer(&mock->q, 1), vb);
	expect_access(vb, false);

	/* it can be queued with that, and with less of it */
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &known));
	cancel(test, mock);
	known.length = MIN_SIZE;
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &known));
	cancel(test, mock);
	KUNIT_EXPECT_EQ(test, mock->mapped, 1);
	KUNIT_EXPECT_EQ(test, references(mock, 0), 2);

	vb2_unhold_buffer(vb);
	set_timestamp(mock, 0, 1);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &other));
	KUNIT_EXPECT_EQ(test, references(mock, 0), 1);
	KUNIT_EXPECT_NULL(test, vb2_find_buffer(&mock->q, 1));
	cancel(test, mock);
}

/* The same with a user pointer */
static void test_hold_userptr(struct kunit *test)
{
	struct mock *mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      V4L2_MEMORY_USERPTR);
	struct vb2_buffer *vb = vb2_get_buffer(&mock->q, 0);
	struct plane known = { .length = MIN_SIZE };
	struct plane other = { .length = MIN_SIZE, .fd = 1 };
	void *priv;

	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &known));
	cancel(test, mock);
	priv = vb->planes[0].mem_priv;
	set_timestamp(mock, 0, 1);
	KUNIT_ASSERT_PTR_EQ(test, vb2_hold_buffer(&mock->q, 1), vb);

	KUNIT_EXPECT_EQ(test, -EBUSY, qbuf(mock, &other));
	mock->prepare_error = -EIO;
	KUNIT_EXPECT_EQ(test, -EIO, qbuf(mock, &known));
	mock->prepare_error = 0;
	KUNIT_EXPECT_PTR_EQ(test, vb->planes[0].mem_priv, priv);
	KUNIT_EXPECT_EQ(test, mock->initialised, 1);
	KUNIT_EXPECT_PTR_EQ(test, vb2_find_buffer(&mock->q, 1), vb);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &known));
	KUNIT_EXPECT_PTR_EQ(test, vb->planes[0].mem_priv, priv);
	cancel(test, mock);

	vb2_unhold_buffer(vb);
	set_timestamp(mock, 0, 1);
	KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &other));
	KUNIT_EXPECT_NULL(test, vb2_find_buffer(&mock->q, 1));
	cancel(test, mock);
}

static int mock_free(void *data)
{
	struct mock *mock = data;

	complete(&mock->freeing);
	if (!mock->release)
		return reqbufs(mock, 0);

	guard(mutex)(&mock->lock);
	vb2_queue_release(&mock->q);

	return 0;
}

/* REQBUFS and the release of the queue wait until no buffer is held. */
static void test_hold_free(struct kunit *test)
{
	struct plane plane = { };
	struct task_struct *task;
	struct vb2_buffer *vb;
	struct mock *mock;
	int i;

	for (i = 0; i < 2; i++) {
		mock = mock_open(test, V4L2_BUF_TYPE_VIDEO_CAPTURE,
				 V4L2_MEMORY_MMAP);
		mock->release = i;
		vb = vb2_get_buffer(&mock->q, 0);
		set_timestamp(mock, 0, 1);
		task = kthread_create(mock_free, mock, "videobuf2");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		get_task_struct(task);
		KUNIT_EXPECT_PTR_EQ(test, vb2_hold_buffer(&mock->q, 1), vb);
		wake_up_process(task);

		/* until it sleeps, or is done if it does not wait */
		wait_for_completion(&mock->freeing);
		while (task_is_running(task))
			schedule();
		KUNIT_ASSERT_EQ(test, mock->attached, 1);
		KUNIT_EXPECT_NULL(test, vb2_find_buffer(&mock->q, 1));
		vb2_unhold_buffer(vb);

		KUNIT_EXPECT_EQ(test, 0, kthread_stop_put(task));
		KUNIT_EXPECT_EQ(test, mock->attached, 0);
		KUNIT_EXPECT_EQ(test, mock->initialised, 0);
		KUNIT_EXPECT_EQ(test, 0, reqbufs(mock, 1));
		KUNIT_EXPECT_EQ(test, 0, qbuf(mock, &plane));
	}
}

static struct kunit_case videobuf2_cases[] = {
	KUNIT_CASE(test_import_fails),
	KUNIT_CASE(test_import_keeps_planes),
	KUNIT_CASE(test_userptr_keeps_planes),
	KUNIT_CASE(test_import_forgets_timestamp),
	KUNIT_CASE(test_plane_sizes),
	KUNIT_CASE_PARAM(test_payload, payload_gen_params),
	KUNIT_CASE(test_payload_planes),
	KUNIT_CASE(test_huge),
	KUNIT_CASE(test_cache_hints),
	KUNIT_CASE(test_remove_prepared),
	KUNIT_CASE(test_start_fails),
	KUNIT_CASE_PARAM(test_access, access_gen_params),
	KUNIT_CASE_PARAM(test_access_cancelled, access_gen_params),
	KUNIT_CASE_PARAM(test_access_freed, access_gen_params),
	KUNIT_CASE_PARAM(test_access_refused, access_gen_params),
	KUNIT_CASE(test_access_fails),
	KUNIT_CASE(test_access_planes),
	KUNIT_CASE(test_access_default),
	KUNIT_CASE(test_access_no_address),
	KUNIT_CASE(test_access_no_address_mmap),
	KUNIT_CASE(test_access_fenced),
	KUNIT_CASE(test_fenced),
	KUNIT_CASE(test_fenced_order),
	KUNIT_CASE(test_fenced_planes),
	KUNIT_CASE(test_fenced_output),
	KUNIT_CASE(test_fenced_cancelled),
	KUNIT_CASE(test_fenced_fails),
	KUNIT_CASE(test_hold_remove),
	KUNIT_CASE(test_hold_import),
	KUNIT_CASE(test_hold_userptr),
	KUNIT_CASE(test_hold_free),
	{}
};

static struct kunit_suite videobuf2_test_suite = {
	.name = "videobuf2",
	.test_cases = videobuf2_cases,
};

kunit_test_suite(videobuf2_test_suite);

MODULE_DESCRIPTION("KUnit tests for videobuf2");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
