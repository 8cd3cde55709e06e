using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Abstractions;
using Flamingo.Cli.Reading;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Cli.Batching;

/// <summary>Sends every line that has no answer yet, and writes each answer, or its error, with the line's number and id.</summary>
/// <param name="isOpenAi">Whether an error has the form that OpenAI's output lines give it.</param>
internal sealed class BatchRun(OrderedOutput answers, SendingOptions sending, TimeProvider time, bool isOpenAi)
{
    /// <returns>The exit code: Failed if any line has an error.</returns>
    public async Task<int> RunAsync(
        string input, long lines, Func<JsonElement, CancellationToken, Task<JsonObject>> ask, TextWriter error,
            CancellationToken cancellation)
    {
        var (start, done, failed, pictures, encoded) = (time.GetTimestamp(), 0L, 0L, 0L, 0L);
        var before = answers.Known;
        var sender = new RequestSender(sending, time, (refusal, wait) =>
        {
            if (refusal.Kind == FlamingoErrorKind.Unavailable && wait >= TimeSpan.FromSeconds(5))
                error.WriteLine($"flamingo: waiting for the server: {refusal.Message}");
        });
        await ProgressBar.RunAsync(error, async report =>
        {
            await foreach (var sent in sender.SendAsync(
                answers.Missing(Lines(input), line => line.Number, cancellation), (line, inner) => AskAsync(line, ask, inner),
                    cancellation))
            {
                var (number, id, answer) = sent.Failure is { } failure
                    ? (sent.Request.Number, Id(sent.Request.Text), Error(failure))
                        : (sent.Request.Number, sent.Answer!.Id, sent.Answer.Members);
                if (IsError(answer)) failed++;
                pictures += (answer["pictures"] as JsonArray)?.Count ?? 0;
                // A picture that another line of this run was encoding already is counted there.
                encoded += (answer["cache"]?["encoded"]?.GetValue<int>() ?? 0) - (answer["cache"]?["waits"]?.GetValue<int>() ?? 0);
                answers.Add(number, Line(number, id, answer));
                done++;
                var rate = done / Math.Max(1e-3, time.GetElapsedTime(start).TotalSeconds);
                var left = TimeSpan.FromSeconds((lines - before - done) / rate);
                report(new Progressed(before + done, lines, string.Create(CultureInfo.InvariantCulture,
                    $"{before + done} of {lines}, {rate:0.0} lines/s, remaining {left:h\\:mm\\:ss}")
                    + (failed > 0 ? $", {failed} failed" : "")));
            }

            return 0;
        });
        var seconds = time.GetElapsedTime(start).TotalSeconds;
        error.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"flamingo: {done} lines in {seconds:0.0} s, {done / Math.Max(1e-3, seconds):0.0} per second"
                + $"{(isOpenAi ? "" : $"; pictures: {pictures}, encoded: {encoded}")}; failed: {failed}"));
        return failed > 0 ? ExitCode.Failed : ExitCode.Done;
    }

    private static IEnumerable<BatchLine> Lines(string input) => File.ReadLines(input).Index()
        .Where(line => !string.IsNullOrWhiteSpace(line.Item)).Select(line => new BatchLine(line.Index + 1, line.Item));

    private static async Task<Answered> AskAsync(
        BatchLine line, Func<JsonElement, CancellationToken, Task<JsonObject>> ask, CancellationToken cancellation)
    {
        var faults = new List<string>();
        using var json = JsonText.Parse(line.Text, "the line", line.Number, faults);
        if (json is not null && json.RootElement.ValueKind != JsonValueKind.Object) faults.Add("the line must be a JSON object.");
        if (faults.Count > 0) throw new FlamingoException(FlamingoErrorKind.InvalidArgument, string.Join(' ', faults));
        return new Answered(Id(json!.RootElement), await ask(json.RootElement, cancellation));
    }

    private static JsonNode? Id(JsonElement line) => line.ValueKind == JsonValueKind.Object
        && (line.TryGetProperty("id", out var id) || line.TryGetProperty("custom_id", out id)) ? JsonNode.Parse(id.GetRawText()) : null;

    private static JsonNode? Id(string text)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            return Id(json.RootElement);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private JsonObject Error(FlamingoException failure)
    {
        var message = failure.Faults.Count > 0 ? string.Join(' ', failure.Faults) : failure.Message;
        if (failure.Missing.Count > 0) message += $" Missing: {string.Join(", ", failure.Missing)}.";
        var error = new JsonObject { ["code"] = JsonNamingPolicy.SnakeCaseLower.ConvertName($"{failure.Kind}"), ["message"] = message };
        return isOpenAi ? new JsonObject { ["response"] = null, ["error"] = error } : new JsonObject { ["error"] = error };
    }

    private static bool IsError(JsonObject answer) => answer["error"] is not null
        || (answer["response"]?["status_code"]?.GetValue<int>() ?? 200) >= 400;

    private string Line(long number, JsonNode? id, JsonObject members)
    {
        var line = new JsonObject();
        if (isOpenAi && members["id"] is null) line["id"] = $"batch_req_{number}";
        if (isOpenAi) line["custom_id"] = members["custom_id"]?.DeepClone() ?? id;
        else if (id is not null) line["id"] = id;
        line["line"] = number;
        foreach (var (name, value) in members)
            if (name != "custom_id") line[name] = value?.DeepClone();
        return line.ToJsonString(Page.Json);
    }

    private sealed record Answered(JsonNode? Id, JsonObject Members);
}
