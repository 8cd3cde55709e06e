using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Flamingo.Abstractions;
using Flamingo.Evaluation.Datasets;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Evaluation.Runs;

/// <summary>
/// CLIP's pooled embeddings of pictures, for RICES (retrieval of in-context examples by similarity, Yang et al. 2022): computed once per
/// picture, and kept in a folder if one is named.
/// </summary>
/// <param name="folder">Where embeddings are kept between runs, one file per encoder; null keeps them in memory alone.</param>
public sealed class PictureEmbeddings(
    IFlamingo flamingo, FlamingoModel model, RequestSender sender, string? folder, string tenant = TenantName.Default)
{
    private const int AtOnce = 8; // pictures of one call
    private const int IdBytes = 32;

    private readonly Dictionary<string, float[]> _byId = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _idOfFile = new(StringComparer.Ordinal);

    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal); // by id, as several files may be one picture

    /// <summary>Pictures that had to be computed, not found.</summary>
    public int Computed { get; private set; }

    /// <summary>Files of pictures that the model refused, with its reason. They are never a shot.</summary>
    public IReadOnlyList<(string File, string Reason)> Refused =>
        [.. _idOfFile.Where(file => _refusals.ContainsKey(file.Value)).Select(file => (file.Key, _refusals[file.Value]))];

    /// <summary>Computes the embeddings that are not known yet.</summary>
    /// <param name="files">Paths of encoded pictures; repetitions cost nothing.</param>
    /// <exception cref="FlamingoException">
    /// The server cannot be reached, the model has no pooled embedding, or it refuses every picture.
    /// </exception>
    public async Task LoadAsync(IEnumerable<string> files, Action<int, int> report, CancellationToken cancellation)
    {
        using var kept = folder is null ? null : OpenKept(folder);
        if (kept is not null) ReadKept(kept);
        var missing = new List<(string File, string Id)>();
        var asked = new HashSet<string>(StringComparer.Ordinal);
        foreach (var file in files.Distinct(StringComparer.Ordinal))
        {
            var id = _idOfFile[file] = PictureId.Of(await File.ReadAllBytesAsync(file, cancellation));
            if (!_byId.ContainsKey(id) && asked.Add(id)) missing.Add((file, id));
        }

        await foreach (var sent in sender.SendAsync(missing.Chunk(AtOnce), EncodeAsync, cancellation))
        {
            if (sent.Failure is { } failure) throw failure;
            foreach (var ((_, id), (embedding, refusal)) in sent.Request.Zip(sent.Answer!))
            {
                if (refusal is not null)
                {
                    _refusals[id] = refusal.Message;
                    if (_refusals.Count == missing.Count && _byId.Count == 0) throw refusal; // the request is wrong, not the pictures
                    continue;
                }

                _byId[id] = embedding!;
                if (kept is not null) Keep(kept, id, embedding!);
                report(++Computed, missing.Count);
            }
        }
    }

    /// <summary>
    /// Ranks the examples from the nearest to the farthest from a query's last picture; equally near ones keep their order.
    /// </summary>
    /// <param name="examples">Those whose picture was refused are left out.</param>
    /// <returns>
    /// For each query its order, which costs little where only the first are taken. A query whose picture was refused gets the examples as
    /// they are, because its prompt is refused for the same picture.
    /// </returns>
    public Func<BenchmarkItem, IEnumerable<BenchmarkItem>> Nearest(IReadOnlyList<BenchmarkItem> examples)
    {
        (BenchmarkItem Item, float[] Vector)[] known =
            [.. examples.Select(example => (example, Of(example)!)).Where(one => one.Item2 is not null)];
        return query => Of(query) is { } vector
            ? known.OrderByDescending(one => TensorPrimitives.Dot<float>(vector, one.Vector)).Select(one => one.Item)
            : known.Select(one => one.Item);
    }

    private float[]? Of(BenchmarkItem item) => _byId.GetValueOrDefault(_idOfFile[item.Parts.OfType<PicturePart>().Last().File]);

    // A call is refused as a whole; then its pictures are asked one by one, so that the wrong one is known.
    private async Task<(float[]? Embedding, FlamingoException? Refusal)[]> EncodeAsync(
        (string File, string Id)[] pictures, CancellationToken cancellation)
    {
        var bytes = await Task.WhenAll(pictures.Select(picture => File.ReadAllBytesAsync(picture.File, cancellation)));
        try
        {
            var encoded = await flamingo.EncodeAsync(new FlamingoEncodeRequest(
                [.. bytes.Select(file => new FlamingoPicture(file))], IncludePooled: true) { Tenant = tenant }, cancellation);
            return [.. encoded.Pooled.Select(pooled => ((float[]?)Scaled(pooled.ToFloats()), (FlamingoException?)null))];
        }
        catch (FlamingoException refusal) when (refusal.Kind == FlamingoErrorKind.InvalidArgument)
        {
            if (pictures.Length == 1) return [(null, refusal)];
            var each = new List<(float[]?, FlamingoException?)>();
            foreach (var picture in pictures) each.AddRange(await EncodeAsync([picture], cancellation));
            return [.. each];
        }
    }

    private static float[] Scaled(float[] values)
    {
        var length = TensorPrimitives.Norm<float>(values);
        if (length > 0) TensorPrimitives.Divide(values, length, values);
        return values;
    }

    // A record is a picture's id and its embedding, little-endian f32. Records are only appended, and a half-written last one is cut off.
    private FileStream OpenKept(string into)
    {
        Directory.CreateDirectory(into);
        var encoder = SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(
            $"{model.Vision.WeightsDigest} {model.Vision.PreprocessingVersion} {model.Vision.Orientation} {model.Vision.Alpha} "
            + $"{model.Vision.Dtype}"));
        return new FileStream(
            Path.Combine(into, $"{Convert.ToHexStringLower(encoder)[..16]}.embeddings"), FileMode.OpenOrCreate, FileAccess.ReadWrite,
                FileShare.None);
    }

    private void ReadKept(FileStream kept)
    {
        var record = new byte[IdBytes + (model.Vision.PooledWidth * sizeof(float))];
        var whole = kept.Length / record.Length * record.Length;
        kept.SetLength(whole);
        while (kept.Position < whole)
        {
            kept.ReadExactly(record);
            _byId[Convert.ToHexStringLower(record.AsSpan(0, IdBytes))] = MemoryMarshal.Cast<byte, float>(record.AsSpan(IdBytes)).ToArray();
        }
    }

    private static void Keep(FileStream kept, string id, float[] embedding)
    {
        var record = new byte[IdBytes + (embedding.Length * sizeof(float))];
        Convert.FromHexString(id).CopyTo(record, 0);
        for (var value = 0; value < embedding.Length; value++)
            BinaryPrimitives.WriteSingleLittleEndian(record.AsSpan(IdBytes + (value * sizeof(float))), embedding[value]);
        kept.Write(record);
        kept.Flush();
    }
}
