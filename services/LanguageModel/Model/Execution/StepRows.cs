using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;

namespace Flamingo.LanguageModel.Execution;

/// <summary>Converts the chunks of a batch to rows of the decoder.</summary>
internal static class StepRows
{
    /// <param name="multiple">The number of rows is increased to a multiple of this by padding rows, whose results are not used.</param>
    /// <param name="probe">Collects the attention weights of the last row of every chunk that requests them; null if none does.</param>
    public static DecoderStep Of(IReadOnlyList<ScheduledChunk> chunks, int multiple, int latents, AttentionProbe? probe)
    {
        var count = chunks.Sum(chunk => chunk.Ids.Count);
        count += Missing(count, multiple);
        var (ids, text, pictures) = (new int[count], new AttentionRow[count], new AttentionRow[count]);
        var (tables, slots, row) = (new List<int>(), new List<int>(), 0);
        foreach (var chunk in chunks)
        {
            for (var offset = 0; offset < chunk.Ids.Count; offset++, row++)
            {
                ids[row] = chunk.Ids[offset];
                text[row] = new AttentionRow(tables.Count, chunk.Start + offset + 1);
                if (chunk.Slots[offset] < 0) continue;
                // adjacent rows with the same picture share a table
                if (offset == 0 || slots.Count == 0 || slots[^1] != chunk.Slots[offset]) slots.Add(chunk.Slots[offset]);
                pictures[row] = new AttentionRow(slots.Count - 1, latents);
            }

            tables.AddRange(chunk.Blocks);
            if (chunk.Attention is { } choice) probe!.Add(row - 1, choice);
        }

        return new DecoderStep(ids, new AttentionRows([.. tables], text), new AttentionRows([.. slots], pictures), probe);
    }

    /// <summary>Number of rows missing to the next multiple.</summary>
    public static int Missing(int rows, int multiple) => (multiple - (rows % multiple)) % multiple;
}
