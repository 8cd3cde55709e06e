namespace Flamingo.Import.Sources;

/// <summary>
/// Changes tensors along their rows (the first dimension). The work is done when the resulting tensor is read. If an argument is null, the
/// result is null: the collector has reported the missing tensor already.
/// </summary>
internal static class Rows
{
    /// <summary>Concatenates tensors along the first dimension.</summary>
    public static SourceTensor? Join(params IReadOnlyList<SourceTensor?> tensors)
    {
        if (tensors.Any(tensor => tensor is null) || tensors[0] is not { } first) return null;
        var parts = tensors.Select(tensor => tensor!).ToList();
        var dtype = parts.All(part => part.Dtype == first.Dtype) ? first.Dtype : "F32"; // F32 represents all F16 and BF16 values.
        return new SourceTensor(string.Join(" + ", parts.Select(part => part.Name)), dtype,
            [parts.Sum(part => part.Shape[0]), .. first.Shape.Skip(1)], () =>
        {
            var joined = GC.AllocateUninitializedArray<byte>(
                checked((int)parts.Sum(part => part.Length / WeightDtypes.Size(part.Dtype) * WeightDtypes.Size(dtype))));
            var at = 0;
            foreach (var part in parts)
            {
                var bytes = WeightDtypes.Convert(part.Read(), part.Dtype, dtype);
                bytes.CopyTo(joined, at);
                at += bytes.Length;
            }

            return joined;
        });
    }

    /// <summary>Cuts a tensor into blocks of equally many rows and changes the order of the blocks.</summary>
    /// <param name="tensor">The tensor to cut.</param>
    /// <param name="order">Index of the block that becomes the first, the second, …; every block occurs once.</param>
    public static SourceTensor? Reorder(SourceTensor? tensor, IReadOnlyList<int> order) => tensor is null ? null : tensor with
    {
        Read = () =>
        {
            var bytes = tensor.Read();
            var (size, result) = (bytes.Length / order.Count, GC.AllocateUninitializedArray<byte>(bytes.Length));
            for (var block = 0; block < order.Count; block++) bytes.AsSpan(order[block] * size, size).CopyTo(result.AsSpan(block * size));
            return result;
        },
    };

    /// <summary>Removes rows at the end, or appends rows of zeros, until the tensor has the given number of rows.</summary>
    public static SourceTensor Fit(SourceTensor tensor, long rows) => tensor.Shape[0] == rows ? tensor : tensor with
    {
        Shape = [rows, .. tensor.Shape.Skip(1)],
        Read = () =>
        {
            var bytes = tensor.Read();
            Array.Resize(ref bytes, checked((int)(bytes.Length / tensor.Shape[0] * rows)));
            return bytes;
        },
    };

    /// <summary>Transposes a matrix.</summary>
    public static SourceTensor? Transpose(SourceTensor? tensor) => tensor is null ? null : tensor with
    {
        Shape = [tensor.Shape[1], tensor.Shape[0]],
        Read = () =>
        {
            var (bytes, size) = (tensor.Read(), WeightDtypes.Size(tensor.Dtype));
            var (rows, columns, result) = ((int)tensor.Shape[0], (int)tensor.Shape[1], GC.AllocateUninitializedArray<byte>(bytes.Length));
            for (var row = 0; row < rows; row++)
                for (var column = 0; column < columns; column++)
                    bytes.AsSpan(((row * columns) + column) * size, size).CopyTo(result.AsSpan(((column * rows) + row) * size));
            return result;
        },
    };
}
