using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Flamingo.Abstractions;
using Flamingo.Cli.Reporting;
using Flamingo.Evaluation.Sending;

namespace Flamingo.Cli.Batching;

/// <summary>Sends every line that has no answer yet, and writes each answer, or its error, with the line's number and id.</summary>
/// <param name="isOpenAi">Whether an error has the form that OpenAI's output lines give it.</param>
internal sealed class BatchRun(OrderedOutput answers, SendingOptions sending, TimeProvider time, bool isOpenAi, TextWriter error)
{
    // A wait of this length follows a dozen seconds of shorter ones. Before that, an absence is not worth a message.
    private static readonly TimeSpan LongWait = TimeSpan.FromSeconds(5);

    private long _done, _failed, _pictures, _encoded;
    private int _isAway;

    /// <returns>The exit code: Failed if any line has an error.</returns>
    public async Task<int> RunAsync(
        string input, long lines, Func<JsonElement, CancellationToken, Task<JsonObject>> ask, CancellationToken cancellation)
    {
        var start = time.GetTimestamp();
        double Seconds() => Math.Max(1e-3, time.GetElapsedTime(start).TotalSeconds);
        try
        {
            await ProgressBar.RunAsync(error, async report =>
            {
                var missing = answers.MissingAsync(BatchLine.Read(input), line => line.Number);
                await foreach (var sent in new RequestSender(sending, time, SayAway).SendAsync(
                    missing, (line, inner) => AskAsync(line, ask, inner), cancellation))
                {
                    Add(sent);
                    Progressed(report, lines, _done / Seconds());
                }

                return 0;
            });
            answers.Complete();
            return _failed > 0 ? ExitCode.Failed : ExitCode.Done;
        }
        finally
        {
            // A run that was interrupted says too how far it came; the same command goes on there.
            error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"flamingo: {_done} lines in {Seconds():0.0} s, {_done / Seconds():0.0} per second; "
                + $"pictures: {_pictures}, encoded: {_encoded}; failed: {_failed}"));
        }
    }

    /// <summary>Whether a line of an output is an error.</summary>
    public static bool IsFailure(JsonElement answer) =>
        (answer.TryGetProperty("error", out var error) && error.ValueKind != JsonValueKind.Null)
        || (answer.TryGetProperty("response", out var response) && response.ValueKind == JsonValueKind.Object
            && response.TryGetProperty("status_code", out var status) && status.GetInt32() >= 400);

    private void Add(Sent<BatchLine, JsonObject> sent)
    {
        Volatile.Write(ref _isAway, 0);
        var members = sent.Failure is { } failure ? Error(failure) : sent.Answer!;
        var text = Line(sent.Request, members);
        using (var written = JsonDocument.Parse(text))
            if (IsFailure(written.RootElement)) _failed++;
        var own = isOpenAi ? members["response"]?["body"] is JsonObject body ? body["flamingo"] : null : members;
        _pictures += (own?["pictures"] as JsonArray)?.Count ?? 0;
        // A picture that another line of this run was encoding already is counted there.
        _encoded += (own?["cache"]?["encoded"]?.GetValue<int>() ?? 0) - (own?["cache"]?["waits"]?.GetValue<int>() ?? 0);
        answers.Add(sent.Request.Number, text);
        _done++;
    }

    private void Progressed(Action<Progressed> report, long lines, double rate)
    {
        var done = answers.Known + _done;
        var left = TimeSpan.FromSeconds((lines - done) / rate);
        report(new Progressed(done, lines, string.Create(CultureInfo.InvariantCulture,
            $"{done} of {lines}, {rate:0.0} lines/s, remaining {Page.Duration(left)}; pictures: {_pictures}, encoded: {_encoded}")
            + (_failed > 0 ? $"; failed: {_failed}" : "")));
    }

    // Every request in flight waits, and one message for all of them is enough until an answer comes again.
    private void SayAway(FlamingoException refusal, TimeSpan wait)
    {
        if (refusal.Kind == FlamingoErrorKind.Unavailable && wait >= LongWait && Interlocked.Exchange(ref _isAway, 1) == 0)
            error.WriteLine($"flamingo: waiting for the server: {refusal.Message}");
    }

    private static async Task<JsonObject> AskAsync(
        BatchLine line, Func<JsonElement, CancellationToken, Task<JsonObject>> ask, CancellationToken cancellation)
    {
        var faults = new List<string>();
        using var json = line.Parse(faults);
        return json is not null ? await ask(json.RootElement, cancellation)
            : throw new FlamingoException(FlamingoErrorKind.InvalidArgument, string.Join(' ', faults));
    }

    private JsonObject Error(FlamingoException failure)
    {
        var message = failure.Faults.Count > 0 ? string.Join(' ', failure.Faults) : failure.Message;
        if (failure.FurtherFaults > 0) message += $" And {failure.FurtherFaults} more faults.";
        if (failure.Missing.Count > 0) message += $" Missing: {string.Join(", ", failure.Missing)}.";
        var fault = new JsonObject { ["code"] = JsonNamingPolicy.SnakeCaseLower.ConvertName($"{failure.Kind}"), ["message"] = message };
        return isOpenAi ? new JsonObject { ["response"] = null, ["error"] = fault } : new JsonObject { ["error"] = fault };
    }

    private string Line(BatchLine asked, JsonObject members)
    {
        var (line, id) = (new JsonObject(), asked.Id());
        if (isOpenAi)
        {
            line["id"] = members["id"]?.DeepClone() ?? $"batch_req_{asked.Number}";
            line["custom_id"] = id;
        }
        else if (id is not null)
        {
            line["id"] = id;
        }

        line["line"] = asked.Number;
        foreach (var (name, value) in members)
            if (!line.ContainsKey(name)) line[name] = value?.DeepClone();
        return line.ToJsonString(Page.Json);
    }
}
