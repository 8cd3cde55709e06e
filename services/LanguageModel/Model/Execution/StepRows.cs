using Flamingo.LanguageModel.Engine;
using Flamingo.LanguageModel.Network;
using Flamingo.LanguageModel.Network.Attention;

namespace Flamingo.LanguageModel.Execution;

/// <summary>The chunks of a batch as rows of the decoder.</summary>
internal static class StepRows
{
    /// <param name="multiple">The number of rows is raised to a multiple of this by padding rows, whose results are not used.</param>
    /// <param name="probe">Takes the last row of every chunk that wants its attention.</param>
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
                // neighbours share a table
                if (offset == 0 || slots.Count == 0 || slots[^1] != chunk.Slots[offset]) slots.Add(chunk.Slots[offset]);
                pictures[row] = new AttentionRow(slots.Count - 1, latents);
            }

            tables.AddRange(chunk.Blocks);
            if (chunk.Attention is { } choice) probe!.Add(row - 1, choice);
        }

        return new DecoderStep(ids, new AttentionRows([.. tables], text), new AttentionRows([.. slots], pictures), probe);
    }

    /// <summary>Rows short of the next multiple.</summary>
    public static int Missing(int rows, int multiple) => (multiple - (rows % multiple)) % multiple;
}
